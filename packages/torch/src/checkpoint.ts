import { autocast, autocastDtype, enableGrad, gradEnabled, noGrad } from './autograd.js';
import { native } from './binding.js';
import type { DType } from './dtype.js';
import { attempt } from './error.js';
import type { Module } from './nn/module.js';
import type { Generator } from './random.js';
import { scope } from './scope.js';
import type { Tensor } from './tensor.js';

type Run = (x: Tensor, ...others: Tensor[]) => Tensor;

/** A part of a network whose inside is not kept. */
interface Segment {
  run: Run;
  /** What it was given: where the gradient goes. */
  x: Tensor;
  others: readonly Tensor[];
  /** What it gave: a leaf, so that backward ends at it. */
  out: Tensor;
  /** Of the generators, before it ran. */
  states: readonly Uint8Array[];
  /** What autocast computed it in. */
  dtype: DType | null;
}

/** Those whose forward pass is under way. */
let taking: Checkpoints | null = null;
let recomputing = false;

/** Whether a segment runs for the second time: then it is to change no statistics. */
export const isRecomputing = (): boolean => recomputing;

/** The very tensor by another handle. */
const same = (x: Tensor): Tensor => x.to(x.dtype);
const held = (x: Tensor): Tensor => same(x).keep();

/** By one that belongs to the scope around. */
function released(x: Tensor): Tensor {
  const other = same(x);
  x.dispose();
  return other;
}

/**
 * Runs a part of a network. Within `Checkpoints.forward` its inside is not kept for backward, but computed again there, as
 * torch.utils.checkpoint does; elsewhere it just runs.
 *
 * @param parts whose parameters `run` uses
 * @param run x and the others to a new tensor; it must give the same when it is called again
 * @param others that it needs, and that take no gradient
 */
export function checkpoint(
  parts: readonly Module[],
  run: Run,
  x: Tensor,
  others: readonly Tensor[] = [],
): Tensor {
  if (taking === null || !gradEnabled()) return run(x, ...others);
  const learns =
    x.requiresGrad || parts.some((part) => part.parameters().some(({ requiresGrad }) => requiresGrad));
  return learns ? taking.take(run, x, others) : run(x, ...others);
}

/**
 * A forward pass that keeps of each checkpoint() in it what went in and what came out, and its backward pass, which computes
 * each again, from the last to the first: gradients are the same, in the memory of the longest segment and what lies between
 * them, for a second forward pass. BatchNorm's statistics move once; what is left out by chance is drawn the same.
 */
export class Checkpoints {
  #segments: Segment[] = [];

  /** @param generators all that the segments draw from */
  constructor(private readonly generators: readonly Generator[] = []) {}

  /** Segments whose inside is not kept. */
  get count(): number {
    return this.#segments.length;
  }

  /** Runs `body`; what is kept belongs to the scope around until backward() has used it. */
  forward(body: () => Tensor): Tensor {
    const around = taking;
    taking = this;
    try {
      return body();
    } finally {
      taking = around;
      this.#segments = this.#segments.map(({ x, others, out, ...segment }) => ({
        ...segment,
        x: released(x),
        others: others.map(released),
        out: released(out),
      }));
    }
  }

  /** @internal By checkpoint(). */
  take(run: Run, x: Tensor, others: readonly Tensor[]): Tensor {
    const states = this.generators.map((generator) => generator.state());
    const made = noGrad(() => run(x, ...others)).requiresGrad_();
    const dtype = autocastDtype(x.device);
    this.#segments.push({ run, x: held(x), others: others.map(held), out: held(made), states, dtype });
    return made;
  }

  /** Adds the gradients of a scalar that was made of what forward() gave to all parameters. Once. */
  backward(total: Tensor): void {
    total.backward();
    const drawn = this.generators.map((generator) => generator.state());
    recomputing = true;
    try {
      for (let last = this.#segments.pop(); last !== undefined; last = this.#segments.pop()) this.#back(last);
    } finally {
      recomputing = false;
      this.#restore(drawn);
    }
  }

  #restore(states: readonly Uint8Array[]): void {
    for (const [i, generator] of this.generators.entries()) generator.setState(states[i]!);
  }

  #back({ run, x, others, out, states, dtype }: Segment): void {
    const { grad } = out;
    out.dispose();
    scope(() => {
      if (grad === null) return;
      this.#restore(states);
      const from = x.detach().requiresGrad_(x.requiresGrad);
      const again = () => enableGrad(() => run(from, ...others));
      const device = x.device === 'cpu' ? 'cpu' : 'cuda';
      const made = dtype === null ? again() : autocast(device, dtype, again);
      attempt('backward', () => native.backwardAndEmpty(made.handle, grad.handle));
      const given = from.grad;
      if (given === null) return;
      // What another segment gave takes the gradient as it is: backward() would copy it.
      if (x.isLeaf && x.grad === null) x.grad = given;
      else x.backward(given);
    });
    for (const each of [x, ...others]) each.dispose();
    grad?.dispose();
  }
}
