import { z } from 'zod';
import type { Published } from '../weights/published.js';
import { type Backbone, type BackboneContext, type BackbonePart, backbonePart } from './backbone.js';

export interface Family<
  Name extends string,
  Shape,
  Built extends Backbone,
  Options extends z.ZodRawShape = Record<never, never>,
> {
  /** The member that stands for it where only one is named. */
  name: Name;
  help: string;
  published: readonly Published<Name, Shape>[];
  batchNorm: boolean;
  /** As BackbonePart.poolsItself; default false. */
  poolsItself?: boolean;
  /** Those of all members; default: none. */
  options?: Options;
  build(
    published: Published<Name, Shape>,
    context: BackboneContext,
    options: z.output<z.ZodObject<Options, z.core.$strict>>,
  ): Built;
}

/** A family of backbones as a part that goes by the names of all its published weights. */
export function family<
  Name extends string,
  Shape,
  Built extends Backbone,
  Options extends z.ZodRawShape = Record<never, never>,
>({
  name,
  help,
  published,
  batchNorm,
  poolsItself = false,
  options: shape = {} as Options,
  build,
}: Family<Name, Shape, Built, Options>): BackbonePart<Name, Options, Built> {
  const options = z.strictObject(shape);
  return backbonePart({
    ...{ name, help, options, batchNorm, poolsItself, published },
    names: published.map((each) => each.name),
    weights: null,
    weightsElsewhere: "those of its own name are weights 'published'",
    build: (given, context, asked = name) => {
      const found = published.find((each) => each.name === asked);
      if (found === undefined) throw new RangeError(`no member ${asked} of the family of ${name}`);
      return build(found, context, given);
    },
  });
}
