import type { Tensor } from '@conquer-dml/torch';
import type { Attribute, Graph } from './graph.js';

/** Of a dimension: a number, or so many times the images of a batch. */
export type Size = number | { batches: number };

/** What is known of the tensors of a recording. */
export interface Known {
  nameOf(tensor: Tensor): string;
  sizesOf(tensor: Tensor): readonly Size[];
}

/** The call of an operator, of which nodes are to be made. */
export class TracedCall {
  constructor(
    readonly graph: Graph,
    private readonly args: readonly unknown[],
    /** Of the first result. */
    readonly sizes: readonly Size[],
    private readonly known: Known,
  ) {}

  /** An argument that is no tensor. */
  plain<T>(place: number, otherwise: T): T {
    return (this.args[place] ?? otherwise) as T;
  }
  tensor(place: number): Tensor {
    return this.args[place] as Tensor;
  }
  isGiven(place: number): boolean {
    return (this.args[place] ?? null) !== null;
  }
  /** The name of a tensor, or of a number as one. */
  value(place: number): string {
    const given = this.args[place];
    return typeof given === 'number' ? this.graph.scalar(given) : this.known.nameOf(given as Tensor);
  }
  /** '' where there is none. */
  optional(place: number): string {
    return this.isGiven(place) ? this.value(place) : '';
  }
  values(place: number): string[] {
    return (this.args[place] as Tensor[]).map((tensor) => this.known.nameOf(tensor));
  }
  sizesOf(place: number): readonly Size[] {
    return this.known.sizesOf(this.tensor(place));
  }
  /** A dimension of the argument `of`, from the front. */
  axis(place: number, of = 0, rank = this.sizesOf(of).length): number {
    const given = this.plain(place, 0);
    return given < 0 ? given + rank : given;
  }
  /** Dimensions of the first argument, from the front. */
  axes(place: number): number[] {
    const rank = this.sizesOf(0).length;
    return [this.plain<number | readonly number[]>(place, [])]
      .flat()
      .map((axis) => (axis < 0 ? axis + rank : axis));
  }
  add(operator: string, inputs: readonly string[], attributes?: Readonly<Record<string, Attribute>>): string {
    return this.graph.add(operator, inputs, attributes);
  }
  /** As (…sizes), of which one may be open. */
  reshaped(value: string, sizes: readonly Size[] = this.sizes): string {
    const open = sizes.filter((size) => typeof size !== 'number').length;
    if (open > 1) throw new Error('export: more than one size of a tensor depends on the batch');
    const shape = this.graph.integers(sizes.map((size) => (typeof size === 'number' ? size : -1)));
    return this.add('Reshape', [value, shape]);
  }
  sliced(value: string, axis: number, start: number, end: number, step = 1): string {
    const { graph } = this;
    return this.add('Slice', [value, ...[[start], [end], [axis], [step]].map((one) => graph.integers(one))]);
  }
}
