/** What a scope holds: a Tensor, which knows its place there, so that taking it out needs no search. */
export interface Held {
  /** The open scope that disposes of it; null: none does. */
  holder: Holder | null;
  /** Where it stands there. */
  place: number;
  /** From the scope that ends to the one around it. */
  moveOut(): void;
  dispose(): void;
}

/** The tensors that one scope() call holds. */
export type Holder = Held[];

const open: Holder[] = [];

/** Called by Tensor: hands a tensor to the innermost scope. False where there is none: then nobody holds it. */
export function enterScope(tensor: Held): boolean {
  const holder = open[open.length - 1];
  if (holder === undefined) return false;
  tensor.holder = holder;
  tensor.place = holder.length;
  holder.push(tensor);
  return true;
}

/** Called by Tensor: takes a tensor out of the scope that holds it. False where none does. */
export function leaveScope(tensor: Held): boolean {
  const { holder } = tensor;
  if (holder === null) return false;
  // The last one takes the place.
  const last = holder.pop() as Held;
  if (last !== tensor) {
    holder[tensor.place] = last;
    last.place = tensor.place;
  }
  tensor.holder = null;
  return true;
}

function isTensor(value: object): value is Held {
  return 'dispose' in value && 'requiresGrad_' in value;
}

function collect(value: unknown, found: Set<Held>): void {
  if (value === null || typeof value !== 'object') return;
  if (isTensor(value)) found.add(value);
  else if (Array.isArray(value) || value instanceof Set) for (const item of value) collect(item, found);
  else if (value instanceof Map) for (const item of value.values()) collect(item, found);
  else if (Object.getPrototypeOf(value) === Object.prototype)
    for (const item of Object.values(value)) collect(item, found);
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
  let results: Set<Held> | null = null;
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
