import { type nn, scope, type Tensor } from '@conquer-dml/torch';
import { Backbone } from '../models/backbones/backbone.js';
import type { InputFormat } from '../models/input-format.js';

/** The network that features were kept of, where there is no need of it. */
export interface AbsentNetwork {
  name: string;
  featureSize: number;
  input: InputFormat;
}

/**
 * A frozen network whose features were kept: rows (B, F) go through as they are, images through the network. By name, shape and
 * tensors it is that network, so that a model on it is saved as one on the network itself.
 */
export class KeptBackbone extends Backbone {
  readonly name: string;
  readonly featureSize: number;
  readonly input: InputFormat;
  readonly classifierPrefixes: readonly string[] = [];
  /** As the network says it, for the record in checkpoints. */
  readonly shape: unknown;

  /** @param network belongs to this from here on; without it only rows go through */
  constructor(private readonly network: Backbone | AbsentNetwork) {
    super();
    this.name = network.name;
    this.featureSize = network.featureSize;
    this.input = network.input;
    this.shape = (network as { shape?: unknown }).shape;
  }

  override *namedChildren(): Generator<[string, nn.Module]> {
    if (this.network instanceof Backbone) yield ['', this.network];
  }

  override requireImages(shape: readonly number[]): void {
    if (shape.length !== 2 && this.network instanceof Backbone) this.network.requireImages(shape);
  }

  features(rows: Tensor): Tensor {
    if (rows.ndim === 2) return scope(() => rows.view(rows.shape));
    if (this.network instanceof Backbone) return this.network.features(rows);
    throw new RangeError(`${this.name}: expected features (B, ${this.featureSize}), got [${rows.shape}]`);
  }

  override freezeBelow(depth: number): void {
    if (this.network instanceof Backbone) this.network.freezeBelow(depth);
  }

  protected layersByDepth(): nn.Module[][] {
    return this.network instanceof Backbone ? [[this.network]] : [];
  }
}
