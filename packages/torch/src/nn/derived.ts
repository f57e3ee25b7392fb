import { gradEnabled } from '../autograd.js';
import { native } from '../binding.js';
import { isRecording } from '../recording.js';
import { scope } from '../scope.js';
import { Tensor } from '../tensor.js';

/**
 * What a module makes of its weights alone, a tensor or several by name: a BatchNorm folded into a convolution, weights in
 * another dtype or layout. It is made anew for each call, unless somebody has it kept (`Module.keepDerived()`): then it is used in
 * all calls without gradients for as long as the weights are as they were. A field of a module, as a parameter is.
 */
export class Derived<T extends Tensor | { readonly [name: string]: Tensor | null }> {
  #keepers = 0;
  #kept: T | null = null;
  #form = '';
  #state = 0;

  /**
   * @param sources the weights: one that was changed in place is seen, and so is another tensor in its place
   * @param form what else it depends on, such as a layout; of another form it is made anew
   * @param make new tensors, of the sources and the form alone
   * @returns of the caller's scope, unless it is kept: then it is not to be disposed
   */
  of(sources: readonly (Tensor | null)[], form: string, make: () => T): T {
    if (!this.isWanted) return scope(make);
    const state = native.stateOf(sources.flatMap((source) => source?.handle ?? []));
    if (this.#kept !== null && this.#state === state && this.#form === form) return this.#kept;
    this.forget();
    const made = scope(make);
    for (const tensor of tensorsOf(made)) tensor.keep();
    this.#kept = made;
    this.#form = form;
    this.#state = state;
    return made;
  }

  /** Whether a call at present would keep it. A recording is of the operators that make it. */
  get isWanted(): boolean {
    return this.#keepers > 0 && !gradEnabled() && !isRecording();
  }

  /** What is kept at present. */
  get kept(): T | null {
    return this.#kept;
  }

  /** One keeper more. */
  keep(): void {
    this.#keepers++;
  }

  /** One less; without any nothing is kept. */
  release(): void {
    this.#keepers--;
    if (this.#keepers === 0) this.forget();
  }

  /** Frees what is kept: it is made again when it is asked for. */
  forget(): void {
    if (this.#kept !== null) for (const tensor of tensorsOf(this.#kept)) tensor.dispose();
    this.#kept = null;
  }
}

const tensorsOf = (made: Tensor | { readonly [name: string]: Tensor | null }): Tensor[] =>
  made instanceof Tensor ? [made] : Object.values(made).filter((tensor) => tensor !== null);
