import type { Tensor } from './tensor.js';

/** The tensors made inside one scope() call, until it ends. */
const open: Set<Tensor>[] = [];

/** Called by Tensor: hands a new tensor to the innermost scope, if there is one. */
export function enterScope(tensor: Tensor): void {
  open.at(-1)?.add(tensor);
}

/** Called by Tensor: takes a tensor out of whatever scope holds it. */
export function leaveScope(tensor: Tensor): void {
  for (let i = open.length - 1; i >= 0; i--) {
    if (open[i]?.delete(tensor)) return;
  }
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
 * Runs `body` and disposes every tensor it made, except those in its result (a tensor, or arrays, maps and plain
 * objects of tensors), which go to the surrounding scope, and those with keep(). Everything is disposed when
 * `body` throws. In a synchronous loop the garbage collector never runs, so this is the way to bound memory.
 *
 * @throws TypeError when `body` is asynchronous: tensors of other work would be caught.
 */
export function scope<T>(body: () => T): T {
  const made = new Set<Tensor>();
  open.push(made);
  const results = new Set<Tensor>();
  try {
    const result = body();
    if (result instanceof Promise)
      throw new TypeError('scope() needs a synchronous function, it was given an async one');
    collect(result, results);
    return result;
  } finally {
    open.pop();
    for (const tensor of made) {
      if (tensor.disposed) continue;
      if (results.has(tensor)) enterScope(tensor);
      else tensor.dispose();
    }
  }
}
