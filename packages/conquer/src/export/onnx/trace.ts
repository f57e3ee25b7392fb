import { noGrad, type OperatorCall, recordOperators, scope, Tensor } from '@conquer-dml/torch';
import type { ElementType, Graph } from './graph.js';
import { operators } from './operators.js';
import { type Size, TracedCall } from './traced-call.js';

/** A network, and what it is given, as a graph is made of it. */
export interface Traced {
  /** Images (B, 3, H, W) to rows (B, D). Called three times or so, without gradients. */
  forward(images: Tensor): Tensor;
  /** Images of a batch. They belong to the trace. */
  images(batch: number): Tensor;
  /** Default 2 and 3. */
  batches?: Batches | undefined;
}

/** Any two do: what differs between them is of the batch. */
const BATCHES: Batches = [2, 3];

/** Images of the first run, and of the second. */
export type Batches = readonly [number, number];

/** What is told of the second run's floating values, where a graph of whole numbers is to be made. */
export type OnValue = (name: string, value: Tensor) => void;

/** A call of the first run: what is to be compared with the second's. */
interface Noted {
  operator: string;
  args: string;
  shapes: number[][];
}

/**
 * Makes nodes of what a network does with a batch: its operators are recorded twice, on batches of two sizes. What is computed
 * from weights alone, and the same both times, becomes a constant; a size that differs is a multiple of the batch, and stays open.
 *
 * @param input the images' name in the graph
 * @param onValue told of the second run's results, and of the input, as soon as they are there
 * @returns the rows' name
 * @throws Error for an operator that is not in the table, or a network that does different things with different batches
 */
export function traceInto(
  graph: Graph,
  input: string,
  { forward, images, batches = BATCHES }: Traced,
  onValue?: OnValue,
): string {
  return noGrad(() =>
    scope(() => {
      const noted: Noted[] = [];
      record(forward, images(batches[0]), ({ operator, args, result }) => {
        noted.push({ operator, args: textOf(args), shapes: tensorsOf(result).map(({ shape }) => shape) });
      });
      const trace = new Trace(graph, noted, batches, onValue);
      const given = images(batches[1]);
      trace.define(given, input, [{ batches: 1 }, ...given.shape.slice(1)]);
      const rows = record(forward, given, (call) => trace.take(call));
      return trace.nameOf(rows);
    }),
  );
}

/** Runs forward; calls that the listener makes itself are not told of. */
function record(forward: Traced['forward'], images: Tensor, listen: (call: OperatorCall) => void): Tensor {
  let busy = false;
  return recordOperators(
    (call) => {
      if (busy) return;
      busy = true;
      listen(call);
      busy = false;
    },
    () => forward(images),
  );
}

class Trace {
  readonly #names = new WeakMap<Tensor, string>();
  readonly #sizes = new WeakMap<Tensor, readonly Size[]>();
  /** Of tensors over one memory: what they have in common. */
  readonly #memory = new WeakMap<Tensor, { holders: WeakRef<Tensor>[] }>();
  readonly #stale = new WeakSet<Tensor>();
  #place = 0;

  constructor(
    private readonly graph: Graph,
    private readonly noted: readonly Noted[],
    private readonly batches: Batches,
    private readonly onValue: OnValue | undefined,
  ) {}

  define(tensor: Tensor, name: string, sizes: readonly Size[]): void {
    this.#names.set(tensor, name);
    this.#sizes.set(tensor, sizes);
    if (tensor.dtype === 'float32') this.onValue?.(name, tensor);
  }

  /** The value's name; of what does not depend on the images a constant. */
  nameOf(tensor: Tensor): string {
    if (this.#stale.has(tensor))
      throw new Error('export: a tensor is read whose memory was written to through another view of it');
    return this.#names.get(tensor) ?? this.#constant(tensor);
  }

  take({ operator, args, result }: OperatorCall): void {
    const before = this.noted[this.#place++];
    if (before?.operator !== operator)
      throw new Error(
        `export: a batch of ${this.batches[0]} images calls ${before?.operator ?? 'nothing'} where one of ${this.batches[1]} calls ${operator}`,
      );
    const results = tensorsOf(result);
    const shapes = results.map(({ shape }) => shape);
    const given = tensorsOf(args);
    const depends =
      given.some((tensor) => this.#names.has(tensor)) ||
      before.args !== textOf(args) ||
      before.shapes.join(';') !== shapes.join(';');
    const inPlace = results.length === 1 && given[0] === results[0] && operator.split('.')[0]!.endsWith('_');
    if (inPlace) this.#overwritten(results[0] as Tensor);
    else if (results.length === 1 && given[0] !== undefined && isView(operator))
      this.#shared(given[0], results[0]!);
    if (!depends) return;
    const emit = operators[operator.replace(/^([a-z0-9_]*[a-z0-9])_(?=\.|$)/, '$1')];
    if (emit === undefined)
      throw new Error(`export: the operator aten::${operator} has no place in ONNX here`);
    const sizes = shapes.map((shape, i) => openSizes(before.shapes[i] as number[], shape, this.batches));
    const call = new TracedCall(this.graph, args, sizes[0] as readonly Size[], {
      nameOf: (tensor) => this.nameOf(tensor),
      sizesOf: (tensor) => this.#sizes.get(tensor) ?? tensor.shape,
    });
    const names = [emit(call)].flat();
    for (const [i, tensor] of results.entries())
      if (names[i] !== undefined) this.define(tensor, names[i], sizes[i] as readonly Size[]);
  }

  #constant(tensor: Tensor): string {
    const values = tensor.detach().contiguous();
    return this.graph.constant(tensor.dtype as ElementType, tensor.shape, values.toTypedArray() as never);
  }

  /** Two tensors over one memory. */
  #shared(from: Tensor, view: Tensor): void {
    const memory = this.#memory.get(from) ?? { holders: [new WeakRef(from)] };
    memory.holders.push(new WeakRef(view));
    this.#memory.set(from, memory);
    this.#memory.set(view, memory);
  }

  #overwritten(tensor: Tensor): void {
    for (const holder of this.#memory.get(tensor)?.holders ?? []) {
      const other = holder.deref();
      if (other !== undefined && other !== tensor && !other.disposed) this.#stale.add(other);
    }
  }
}

const views = new Set(
  'view reshape flatten unsqueeze squeeze transpose t permute narrow select slice expand detach contiguous to'.split(
    ' ',
  ),
);
const isView = (operator: string) => views.has(operator.split('.')[0] as string);

const tensorsOf = (value: unknown): Tensor[] => [value].flat(2).filter((each) => each instanceof Tensor);

/** Arguments without their tensors. */
const textOf = (args: readonly unknown[]): string =>
  JSON.stringify(args, (_, value) => (value instanceof Tensor ? 'tensor' : value));

/** The sizes of a result, by what they were in batches of two sizes. */
function openSizes(first: readonly number[], second: readonly number[], [few, more]: Batches): Size[] {
  return second.map((size, i) => {
    const before = first[i] as number;
    if (before === size) return size;
    const batches = (size - before) / (more - few);
    if (batches * few !== before)
      throw new Error(
        `export: a size of ${before} and ${size} is no multiple of batches of ${few} and ${more}`,
      );
    return { batches };
  });
}
