import { z } from '@hono/zod-openapi';

// What goes over the wire, as the OpenAPI document has it.

export const problem = z
  .object({
    status: z.int(),
    error: z.string().openapi({ description: 'one line: what was expected, what came, what to do' }),
  })
  .openapi('Problem');

const labels = z
  .array(z.string())
  .openapi({ description: 'its classes; the first is what it is classified as' });
const payload = z.unknown().openapi({ description: 'whatever JSON was given with it' });
const path = z
  .string()
  .nullable()
  .openapi({ description: "of an image, relative to the index's folder; null: it is of no file" });

export const servedItem = z.object({ id: z.string(), labels, payload, paths: z.array(path) }).openapi('Item');

export const explanation = z
  .object({
    parts: z.array(z.array(z.number())).openapi({
      description:
        'rows from the top, columns from the left: by how much the similarity falls when this part is covered',
    }),
    seen: z.object({ left: z.number(), top: z.number(), width: z.number(), height: z.number() }).openapi({
      description: 'the part of the image that the network sees, in shares of its width and height',
    }),
  })
  .openapi('Explanation');

const similarity = z.number().min(-1).max(1).openapi({ description: 'cosine of both embeddings' });

const probability = z.number().min(0).max(1).openapi({
  description: 'that both are of one class, where as many pairs are as are not; of what is calibrated',
});

export const threshold = z
  .object({
    rate: z.number().openapi({
      description: 'the false-match rate: the share of pairs of different classes that is at least so alike',
    }),
    similarity: z.number().openapi({ description: 'from which on two images are taken for the same' }),
    interval: z.tuple([z.number(), z.number()]).readonly().openapi({
      description: 'where that rate lies on other classes, with 95 % confidence',
    }),
    found: z.number().openapi({ description: 'the share of pairs of one class that is at least so alike' }),
  })
  .openapi('Threshold');

export const match = z
  .object({
    id: z.string(),
    labels,
    payload,
    path,
    image: z.int().openapi({ description: "which of the item's images is alike, from 0" }),
    similarity,
    probability: probability.optional(),
    explanation: explanation.optional(),
  })
  .openapi('Match');

const votedClass = z
  .object({
    label: z.string().nullable().openapi({ description: 'null: no item has a class' }),
    confidence: z.number().min(0).max(1).openapi({ description: 'its share of the votes' }),
    votes: z.array(z.object({ label: z.string(), share: z.number() })),
  })
  .openapi('Class');

export const embedAnswer = z
  .object({
    embeddings: z.array(z.array(z.number())).openapi({ description: 'one of length 1 for each image' }),
  })
  .openapi('Embeddings');

export const searchAnswer = z
  .object({
    matches: z.array(z.array(match)).openapi({ description: 'for each image, most alike first' }),
    accepted: z
      .array(z.boolean())
      .optional()
      .openapi({ description: 'for each image, whether there is a match; where maxFalseMatch was given' }),
    threshold: threshold.optional(),
    classes: z
      .array(votedClass)
      .optional()
      .openapi({ description: 'for each image, where classify was asked for' }),
  })
  .openapi('Matches');

export const verifyAnswer = z
  .object({
    similarity,
    probability: probability.nullable(),
    answer: z
      .enum(['same', 'different'])
      .nullable()
      .openapi({ description: 'by the threshold; null: nothing is calibrated' }),
    // `nullable` of a named schema is lost in the document.
    threshold: z.union([threshold, z.null()]),
    explanation: explanation.optional(),
  })
  .openapi('Verification');

export const addAnswer = z
  .object({ added: z.string(), count: z.int().openapi({ description: 'items of the index now' }) })
  .openapi('Added');

export const removeAnswer = z.object({ removed: z.string(), count: z.int() }).openapi('Removed');

export const listAnswer = z
  .object({
    items: z.array(servedItem),
    count: z.int(),
    next: z
      .string()
      .nullable()
      .openapi({ description: 'give as `after` for those that follow; null: these are the last' }),
  })
  .openapi('Items');

export const health = z
  .object({
    status: z.enum(['ok', 'stopping']),
    model: z.string(),
    dimensions: z.int(),
    index: z.object({ path: z.string(), items: z.int() }).nullable(),
    calibration: z
      .object({ source: z.string(), rates: z.array(z.number()) })
      .nullable()
      .openapi({ description: 'of what, and the false-match rates that can be asked for; null: none' }),
    waiting: z.int().openapi({ description: 'images that wait for the network' }),
  })
  .openapi('Health');
