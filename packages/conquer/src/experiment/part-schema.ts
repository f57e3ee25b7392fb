import { z } from 'zod';

/** A part as far as its place in an experiment goes. */
interface NamedOptions {
  readonly name: string;
  readonly names?: readonly string[];
  readonly options: z.ZodObject<z.ZodRawShape, z.core.$strict>;
  readonly help: string;
}

type Named<P extends NamedOptions> = P extends { name: infer Name extends string; options: infer Options }
  ? Options extends z.ZodObject<infer Shape, z.core.$strict>
    ? z.ZodObject<{ name: z.ZodLiteral<Name> } & Shape, z.core.$strict>
    : never
  : never;

/**
 * An object with the name of one of these parts, and options of it: `{ name: 'margin', beta: 1.1 }`.
 *
 * @typeParam List the parts that types know; there may be more, from plugins
 */
export function partOf<const List extends readonly NamedOptions[]>(
  parts: readonly NamedOptions[],
): z.ZodType<z.output<Named<List[number]>>, z.input<Named<List[number]>>> {
  const [first, ...rest] = parts.map(({ name, names = [name], help, options }) =>
    z.strictObject({ name: z.literal([...names]), ...options.shape }).describe(help),
  );
  if (first === undefined) throw new Error('expected at least one part');
  return z.discriminatedUnion('name', [first, ...rest]) as unknown as ReturnType<typeof partOf<List>>;
}

/** Several of these parts, each with how much it counts: `[{ name: 'circle' }, { name: 'koleo', weight: 0.1 }]`. */
export function weighedPartsOf<const List extends readonly NamedOptions[]>(
  parts: readonly NamedOptions[],
): z.ZodType<
  (z.output<Named<List[number]>> & Weighed)[],
  (z.input<Named<List[number]>> & Partial<Weighed>)[]
> {
  const [first, ...rest] = parts.map(({ name, help, options }) =>
    z.strictObject({ name: z.literal(name), ...options.shape, weight }).describe(help),
  );
  if (first === undefined) throw new Error('expected at least one part');
  const list = z.array(z.discriminatedUnion('name', [first, ...rest])).min(1);
  return list as unknown as ReturnType<typeof weighedPartsOf<List>>;
}

/** No interface: an experiment is JSON, which its type is to show. */
type Weighed = { weight: number };

const weight = z.number().default(1).describe('how much it counts in the sum');

/** Code of one's own in the place of a part: what can be seen of it, so that a run that goes on can compare. */
export const ownPart = z.strictObject({
  own: z.string().describe('name of the class'),
  options: z.string().default('{}').describe('its plain fields, as JSON'),
});

/** A data set of one's own: its name, and the folder that holds its images, where there is one. */
export const ownDataset = z.strictObject({ own: z.string(), folder: z.string().nullable().default(null) });
