import { createRoute, z } from '@hono/zod-openapi';
import type { ServeLimits } from './limits.js';
import {
  addAnswer,
  embedAnswer,
  health,
  listAnswer,
  problem,
  removeAnswer,
  searchAnswer,
  verifyAnswer,
} from './schemas.js';

// The routes as the OpenAPI document has them. Bodies are read by `uploadOf`, in either of their forms.

const WHY = {
  400: 'the request is not as described',
  401: 'a token is needed: Authorization: Bearer …',
  403: 'the request names another host',
  404: 'there is no such thing here',
  409: 'an item of this id is there already, the false-match rate is not calibrated, or there is no graph',
  413: 'the body, an image, or the number of images is beyond the limits',
  415: 'the body is of another kind',
  422: 'an image cannot be read',
  500: 'the service failed',
  503: 'too much waits, or the service is stopping: come again',
  504: 'there was no answer in time',
} as const;

const answers = <Schema extends z.ZodType>(
  schema: Schema,
  description: string,
  ...failures: (keyof typeof WHY)[]
) => ({
  200: { description, content: { 'application/json': { schema } } },
  ...(Object.fromEntries(
    failures.map((status) => [
      status,
      { description: WHY[status], content: { 'application/json': { schema: problem } } },
    ]),
  ) as Record<never, never>),
});

const binary = { type: 'string', format: 'binary' } as const;

/** The failures of all routes that take images. */
const OF_IMAGES = [400, 401, 403, 413, 415, 422, 500, 503, 504] as const;

/** A form of images and fields, or, where one image does, the image as the body. */
function imageBody(
  description: string,
  { least = 1, most, fields = {} }: { least?: number; most: number; fields?: Record<string, string> },
) {
  const texts = Object.entries(fields).map(([name, what]) => [name, { type: 'string', description: what }]);
  const form = {
    type: 'object' as const,
    required: ['image'],
    additionalProperties: false,
    properties: {
      image: { type: 'array' as const, minItems: least, maxItems: most, items: binary },
      ...Object.fromEntries(texts),
    },
  };
  const alone = { 'image/*': { schema: binary }, 'application/octet-stream': { schema: binary } };
  return {
    description,
    required: true,
    content: { 'multipart/form-data': { schema: form }, ...(least === 1 && alone) },
  };
}

const flag = (description: string) => z.enum(['true', 'false']).default('false').openapi({ description });

const explain = flag(
  'say which parts of the image make it like what it is compared with; takes some fifty embeddings more',
);

const maxFalseMatch = z.coerce.number().gt(0).max(1).optional();

/** All routes but the page and /metrics, which is no JSON. */
export function routesWith({ images }: Pick<ServeLimits, 'images'>) {
  return {
    embed: createRoute({
      method: 'post',
      path: '/embed',
      summary: 'Embeddings of images',
      request: { body: imageBody('the images', { most: images }) },
      responses: answers(embedAnswer, 'the embeddings, in the order of the images', ...OF_IMAGES),
    }),
    search: createRoute({
      method: 'post',
      path: '/search',
      summary: 'What of the index is most like images',
      request: {
        query: z.strictObject({
          top: z.coerce
            .number()
            .int()
            .min(1)
            .max(1000)
            .default(10)
            .openapi({ description: 'matches of each image' }),
          per: z
            .enum(['item', 'image'])
            .default('item')
            .openapi({ description: 'each item once, by its nearest image, or each image for itself' }),
          label: z.string().min(1).optional().openapi({ description: 'only items that have this label' }),
          maxFalseMatch: maxFalseMatch.openapi({
            description: 'leave out what is less alike than this false-match rate asks for',
          }),
          classify: flag('say the class of each image, by a vote of the nearest items that have one'),
          approximate: flag('look at few of the rows, by the graph of the index'),
          explain,
        }),
        body: imageBody('the images to search with', { most: images }),
      },
      responses: answers(searchAnswer, 'matches of each image, most alike first', 404, 409, ...OF_IMAGES),
    }),
    verify: createRoute({
      method: 'post',
      path: '/verify',
      summary: 'Whether two images are of the same',
      request: {
        query: z.strictObject({
          maxFalseMatch: maxFalseMatch.openapi({
            description:
              'answer by the threshold of this false-match rate [0.01, or the nearest that is calibrated]',
          }),
          explain,
        }),
        body: imageBody('two images', { least: 2, most: 2 }),
      },
      responses: answers(verifyAnswer, 'how alike they are', 409, ...OF_IMAGES),
    }),
    list: createRoute({
      method: 'get',
      path: '/items',
      summary: 'Items of the index, in its order',
      request: {
        query: z.strictObject({
          after: z.string().optional().openapi({ description: 'the id of the last item that is known' }),
          limit: z.coerce.number().int().min(1).max(1000).default(100),
        }),
      },
      responses: answers(listAnswer, 'items', 400, 401, 403, 404, 500, 503, 504),
    }),
    add: createRoute({
      method: 'post',
      path: '/items',
      summary: 'Add an item to the index',
      request: {
        body: imageBody('the images of the item, and what it is', {
          most: images,
          fields: {
            id: 'its name, which no other item has',
            labels: 'its class; several as a JSON list',
            payload: 'any JSON, to come back with it',
          },
        }),
      },
      responses: answers(addAnswer, 'it is in the index, and on the disk', 404, 409, ...OF_IMAGES),
    }),
    remove: createRoute({
      method: 'delete',
      path: '/items/{id}',
      summary: 'Remove an item from the index',
      request: { params: z.object({ id: z.string().min(1) }) },
      responses: answers(removeAnswer, 'it is no longer in the index', 400, 401, 403, 404, 500, 503, 504),
    }),
    health: createRoute({
      method: 'get',
      path: '/health',
      summary: 'Whether the service answers',
      responses: answers(health, 'it does', 403),
    }),
  };
}

/** Names of the parameters of a route's query. */
export function parametersOf(route: object | undefined): string[] {
  const { request } = (route ?? {}) as { request?: { query?: z.ZodObject } };
  return Object.keys(request?.query?.shape ?? {});
}
