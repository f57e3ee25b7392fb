import { z } from 'zod';
import { OptionError } from '../../option-error.js';
import { part } from '../../part.js';
import { Prompts } from './prompts.js';
import type { TuningContext } from './tuning.js';

const options = z.strictObject({
  count: z.int().min(1).max(1000).default(10).describe('tokens that are learned'),
  deep: z.boolean().default(true).describe('new ones for each block, in the place of those before'),
});

/** Visual prompt tuning: the backbone's weights stay, and tokens beside the image's learn (Jia et al. 2022). */
export const prompts = part({
  name: 'prompts',
  help: "a transformer's weights stay; tokens beside the image's learn (VPT, Jia et al. 2022)",
  options,
  build: ({ count, deep }, { backbone, generator }: TuningContext): void => {
    const { tokenShape } = backbone;
    if (tokenShape === null)
      throw new OptionError(
        'name',
        `prompts are tokens of a vision transformer, and ${backbone.name} takes none: take full`,
      );
    backbone.requiresGrad_(false);
    backbone.prompts = new Prompts(tokenShape, { count, deep, generator });
  },
});
