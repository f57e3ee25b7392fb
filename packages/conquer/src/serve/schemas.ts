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

export const match = z
  .object({
    id: z.string(),
    labels,
    payload,
    path,
    image: z.int().openapi({ description: "which of the item's images is alike, from 0" }),
    similarity,
    explanation: explanation.optional(),
  })
  .openapi('Match');

export const embedAnswer = z
  .object({
    embeddings: z.array(z.array(z.number())).openapi({ description: 'one of length 1 for each image' }),
  })
  .openapi('Embeddings');

export const searchAnswer = z
  .object({ matches: z.array(z.array(match)).openapi({ description: 'for each image, most alike first' }) })
  .openapi('Matches');

export const verifyAnswer = z
  .object({ similarity, explanation: explanation.optional() })
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
    waiting: z.int().openapi({ description: 'images that wait for the network' }),
  })
  .openapi('Health');
