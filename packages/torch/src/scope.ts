import type { Tensor } from './tensor.js';

/** The tensors that one scope() call holds; each knows its place, so that taking one out needs no search. */
export type Holder = Tensor[];

const open: Holder[] = [];

/** Called by Tensor: hands a tensor to the innermost scope. False where there is none: then nobody holds it. */
export function enterScope(tensor: Tensor): boolean {
  const holder = open[open.length - 1];
  if (holder === undefined) return false;
  tensor.holder = holder;
  tensor.place = holder.length;
  holder.push(tensor);
  return true;
}

/** Called by Tensor: takes a tensor out of the scope that holds it. False where none does. */
export function leaveScope(tensor: Tensor): boolean {
  const { holder } = tensor;
  if (holder === null) return false;
  // The last one takes the place.
  const last = holder.pop() as Tensor;
  if (last !== tensor) {
    holder[tensor.place] = last;
    last.place = tensor.place;
  }
  tensor.holder = null;
  return true;
}

function isTensor(value: object): value is Tensor {
  return 'dispose' in value && 'requiresGrad_' in value;
}

function collect(value: unknown, found: Set<Tensor>): void {
  if (value === null || typeof value !== 'object') return;
  if (isTensor(value)) found.add(value);
  else if (Array.isArray(value) || value instanceof Set) for (const item of value) collect(item, found);
  else if (value instanceof Map) for (const item of value.values()) collect(item, found);
  else if (Object.getPrototypeOf(value) === Object.prototype)
    for (const item of Object.values(value)) collect(item, found);
}

/**
 * A scope that is left and entered again, for work that is done in steps: what other work makes between them is not its.
 */
export class OpenScope {
  readonly #made: Holder = [];

  /** Runs a synchronous step in it. */
  run<T>(step: () => T): T {
    open.push(this.#made);
    try {
      return step();
    } finally {
      open.pop();
    }
  }

  /** Ends it as scope() does: what is in `result` goes to the surrounding scope, everything else is disposed. */
  end(result?: unknown): void {
    const results = new Set<Tensor>();
    collect(result, results);
    for (let last = this.#made.at(-1); last !== undefined; last = this.#made.at(-1)) {
      if (results.has(last)) last.moveOut();
      else last.dispose();
    }
  }
}

/**
 * Runs `body` and disposes every tensor it made, except those in its result (a tensor, or arrays, maps and plain
 * objects of tensors), which go to the surrounding scope, and those with keep(). Everything is disposed when
 * `body` throws. In a synchronous loop the garbage collector never runs, so this is the way to bound memory.
 *
 * @throws TypeError when `body` is asynchronous: tensors of other work would be caught.
 */
export function scope<T>(body: () => T): T {
  const made: Holder = [];
  open.push(made);
  let results: Set<Tensor> | null = null;
  try {
    const result = body();
    if (result instanceof Promise)
      throw new TypeError('scope() needs a synchronous function, it was given an async one');
    if (made.length > 0 && typeof result === 'object' && result !== null) {
      results = new Set();
      collect(result, results);
    }
    return result;
  } finally {
    open.pop();
    for (let last = made.at(-1); last !== undefined; last = made.at(-1)) {
      if (results?.has(last)) last.moveOut();
      else last.dispose();
    }
  }
}
