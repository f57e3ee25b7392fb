import type { Tensor } from '../tensor.js';
import { BatchNorm2d } from './batch-norm.js';
import { Conv2d } from './conv.js';
import { convBatchNorm } from './conv-batch-norm.js';
import { Module } from './module.js';

/** A module of one tensor in, one out. */
export interface Layer extends Module {
  forward(x: Tensor): Tensor;
}

/** Returns its input itself. */
export class Identity extends Module {
  forward(x: Tensor): Tensor {
    return x;
  }
}

/**
 * Layers one after another, with the names 0, 1, ... A layer's output is disposed once the next layer has used
 * it (the graph keeps what the backward pass needs), so that evaluation does not hold every activation: a layer
 * must not keep its own output. A BatchNorm right after a convolution is folded into it where its statistics are fixed.
 */
export class Sequential extends Module {
  readonly #layers: readonly Layer[];

  constructor(...layers: Layer[]) {
    super();
    this.#layers = layers;
  }

  get length(): number {
    return this.#layers.length;
  }

  /** The layer of this number; from the end when negative. */
  at(index: number): Layer | undefined {
    return this.#layers.at(index);
  }

  override *namedChildren(): Generator<[string, Module]> {
    for (const [index, layer] of this.#layers.entries()) yield [`${index}`, layer];
  }

  *[Symbol.iterator](): Generator<Layer> {
    yield* this.#layers;
  }

  forward(x: Tensor): Tensor {
    let current = x;
    for (let i = 0; i < this.#layers.length; i++) {
      const layer = this.#layers[i] as Layer;
      const after = this.#layers[i + 1];
      let next: Tensor;
      if (layer instanceof Conv2d && after instanceof BatchNorm2d) {
        next = convBatchNorm(current, layer, after);
        i++;
      } else {
        next = layer.forward(current);
      }
      if (current !== x && current !== next) current.dispose();
      current = next;
    }
    return current;
  }
}
