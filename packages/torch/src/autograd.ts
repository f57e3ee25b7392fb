import { native } from './binding.js';
import type { DType } from './dtype.js';
import { torchError } from './error.js';
import { isRecording } from './recording.js';
import { Tensor } from './tensor.js';

/**
 * Runs `body` without recording gradients, as torch.no_grad().
 * @throws TypeError when `body` is asynchronous: other work would be caught
 */
export function noGrad<T>(body: () => T): T {
  return withGradMode(false, body);
}

/**
 * Runs `body` with gradients recorded, as torch.enable_grad().
 * @throws TypeError when `body` is asynchronous: other work would be caught
 */
export function enableGrad<T>(body: () => T): T {
  return withGradMode(true, body);
}

/** Whether gradients are recorded, as torch.is_grad_enabled(); true unless told otherwise. */
export function gradEnabled(): boolean {
  return native.gradEnabled();
}

function withGradMode<T>(enabled: boolean, body: () => T): T {
  const before = native.gradEnabled();
  native.setGradEnabled(enabled);
  try {
    const result = body();
    if (result instanceof Promise)
      throw new TypeError('noGrad() and enableGrad() need a synchronous function');
    return result;
  } finally {
    native.setGradEnabled(before);
  }
}

/**
 * The gradients of `outputs` with respect to `inputs`, as torch.autograd.grad. The graph is freed.
 *
 * @param gradOutputs one a non-scalar output, of its shape
 * @returns one for each input, of its shape; they belong to the caller
 * @throws TorchError when an input is not part of the graph.
 */
export function grad(outputs: Tensor | Tensor[], inputs: Tensor[], gradOutputs: Tensor[] = []): Tensor[] {
  const roots = Array.isArray(outputs) ? outputs : [outputs];
  try {
    return native
      .grad(
        roots.map((t) => t.handle),
        inputs.map((t) => t.handle),
        gradOutputs.map((t) => t.handle),
        false,
      )
      .map((handle) => new Tensor(handle as number));
  } catch (error) {
    throw torchError('grad', error);
  }
}

/** The dtype that autocast computes in at present, by device; absent where it is off. */
const casting = new Map<'cpu' | 'cuda', DType>();

/** The dtype that autocast computes in at present on a device such as 'cuda:1'; null: it is off there. */
export function autocastDtype(device: string): DType | null {
  return casting.get(device === 'cpu' ? 'cpu' : 'cuda') ?? null;
}

/**
 * Runs `body` with automatic mixed precision, as torch.autocast. On CPUs without instructions for bfloat16 it is many times
 * slower than float32. Weights that learn are cast once, until the outermost call ends. Convolutions are given their weights
 * channels_last, the layout in which those of half precision are fast, and LayerNorm computes in its weights' precision.
 * Afterwards it is as it was before, so that calls can be nested. A recording is of the operators without it.
 *
 * @param body synchronous
 * @throws TypeError for a body that returns a Promise
 */
export function autocast<T>(device: 'cpu' | 'cuda', dtype: DType, body: () => T): T {
  if (isRecording()) return body();
  const before = casting.get(device);
  native.setAutocast(device, true, dtype);
  casting.set(device, dtype);
  try {
    const result = body();
    if (result instanceof Promise) throw new TypeError('autocast() needs a synchronous function');
    return result;
  } finally {
    native.setAutocast(device, before !== undefined, before ?? dtype);
    if (before === undefined) casting.delete(device);
    else casting.set(device, before);
  }
}
