import { type Handle, native } from './binding.js';
import { Tensor } from './tensor.js';

const finalizer = new FinalizationRegistry<Handle>((handle) => native.disposeGenerator(handle));

/** Consecutive images of a batch. */
export interface BatchShare {
  from: number;
  count: number;
  /** Images of the whole batch. */
  total: number;
}

/**
 * A random generator, as torch.Generator: the same seed draws the same numbers as PyTorch on the same device.
 * The default generator is shared by the whole process; a worker that must be reproducible needs one of its
 * own. The garbage collector frees it.
 */
export class Generator {
  readonly handle: Handle;
  readonly device: string;
  /**
   * The images, of a batch that several processes share, that this one has: dropout then draws for all and keeps what is its
   * own, as one process draws. Default null: all.
   */
  share: BatchShare | null = null;

  /** @param seed an integer from 0 to 2^53 - 1 @param device 'cpu' or 'cuda:0' */
  constructor(seed = 0, device = 'cpu') {
    this.device = device;
    this.handle = native.newGenerator(device, seed);
    finalizer.register(this, this.handle);
  }

  /** Starts anew from this seed, as manual_seed(). @param seed an integer from 0 to 2^53 - 1 */
  seed(seed: number): this {
    native.seedGenerator(this.handle, seed);
    return this;
  }

  /** The state as bytes, the same as PyTorch's get_state(). */
  state(): Uint8Array {
    using state = new Tensor(native.generatorState(this.handle));
    return state.toTypedArray() as Uint8Array;
  }

  /**
   * Goes on from a saved state.
   * @param state of a generator of the same device
   * @throws Error for other bytes
   */
  setState(state: Uint8Array): this {
    using tensor = new Tensor(native.fromBuffer(state, [state.length], 'uint8'));
    native.setGeneratorState(this.handle, tensor.handle);
    return this;
  }
}

/** Seeds the default generators of every device, as torch.manual_seed. */
export function manualSeed(seed: number): void {
  native.manualSeed(seed);
}
