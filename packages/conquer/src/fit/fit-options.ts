import { z } from 'zod';
import { DIVIDED_FROM } from '../divide/usual-division.js';
import { headRecipes } from './head-recipes.js';

/** What a fit does beside its data, network and heads. */
export const fitOptions = z.strictObject({
  views: z
    .int()
    .min(1)
    .max(16)
    .default(4)
    .describe(
      'views a photo: the one of evaluation, and parts of it that are drawn, each sent through the network once',
    ),
  splits: z
    .int()
    .min(2)
    .max(100)
    .default(5)
    .describe('class-disjoint splits that are measured on, drawn with the seeds 0, 1, …'),
  seeds: z
    .int()
    .min(1)
    .max(20)
    .default(1)
    .describe('trainings of each head in each split, from other weights; their scores are averaged'),
  steps: z
    .int()
    .min(100)
    .max(1_000_000)
    .default(1500)
    .describe('most steps that a head trains; it ends early where the held-out classes do not gain'),
  heads: z
    .array(z.string().min(1))
    .min(1)
    .nullable()
    .default(null)
    .describe(
      `heads to try: ${headRecipes.map(({ name }) => name).join(', ')}; null: these, divided of ${DIVIDED_FROM} classes and more`,
    ),
  choose: z
    .string()
    .min(1)
    .nullable()
    .default(null)
    .describe('head that becomes a run, whatever the held-out classes say; null: the recommended one'),
  imageSize: z
    .int()
    .min(16)
    .max(4096)
    .nullable()
    .default(null)
    .describe('side of what the network sees, in pixels; null: as it was published'),
  exclude: z
    .string()
    .min(1)
    .nullable()
    .default(null)
    .describe('a CSV file with a column path: photos to leave out, as conquer audit writes it'),
  seed: z
    .int()
    .min(0)
    .max(2 ** 31)
    .default(1)
    .describe('of the weights that training starts from'),
});

/** Steps of an epoch of a head, and between two looks at the held-out classes. */
export const EPOCH_STEPS = 50;
/** Epochs without a gain on the held-out classes, after which a training ends. */
export const PATIENCE = 4;
