import { UserError } from '@conquer-dml/run';
import { type Generator, nn, scope, type Tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import { OptionError } from '../../option-error.js';
import type { Part } from '../../part.js';
import type { Precision } from '../../precision.js';
import type { InputFormat } from '../input-format.js';
import type { Prompts, TokenShape } from '../tunings/prompts.js';
import { type KeyMap, namedBy, ownNames } from '../weights/key-map.js';
import { type Naming, recognise } from '../weights/naming.js';
import type { Published } from '../weights/published.js';
import type { PublishedWeights } from '../weights/published-weights.js';
import type { TransformersForm } from '../weights/transformers-form.js';
import { firstThree, weightFaults } from '../weights/weight-faults.js';

/** What to do about weights that do not fit. */
export const FITTING = 'take the network that they were trained with, or name them as torchvision does';

/** What is known when an experiment's backbone is built. */
export interface BackboneContext {
  /** BatchNorm keeps its running statistics; its weight and bias still learn. */
  frozenBatchNorm: boolean;
  /** Draws the weights; without one, the generator that manualSeed() sets. */
  generator?: Generator | undefined;
  /** Draw nothing: all weights are going to be loaded. Default false. */
  skipInit?: boolean | undefined;
  /** Where its tensors are made: 'meta' gives names and shapes without numbers. Families that are published only; default: the CPU. */
  device?: string | undefined;
  /** Draws what training leaves out (drop path); without one, the generator that manualSeed() sets. */
  dropoutGenerator?: Generator | undefined;
}

/** What a backbone of residual blocks is built with. */
export interface DropPathContext extends Partial<BackboneContext> {
  /** How often training skips the last block; the first never, rising evenly between. Default 0. */
  dropPath?: number;
}

/** By timm's names. */
const UNDECAYED = /(^|\.)(cls_token|reg_token|pos_embed|relative_position_bias_table|prompts\.tables\.\d+)$/;

/** The option of a backbone of residual blocks; the block's branch goes through an `nn.DropPath`. */
export const dropPathOption = z
  .number()
  .min(0)
  .max(0.99)
  .default(0)
  .describe('how often training skips the last residual block; the first never, rising evenly between');

/** A backbone as an experiment names it. */
export interface BackbonePart<
  Name extends string = string,
  Shape extends z.ZodRawShape = z.ZodRawShape,
  Built extends Backbone = Backbone,
> extends Part<Name, Shape, BackboneContext, Built> {
  /** Whether it has BatchNorm, so that it matters whether that is frozen. */
  readonly batchNorm: boolean;
  /** The published weights that were trained on ImageNet, where there are some. */
  readonly weights: PublishedWeights | null;
  /** What to do in their place, in words, where others publish some. */
  readonly weightsElsewhere?: string;
  /** That its features are one vector an image, pooled as the family does it: there is no other pooling of them. */
  readonly poolsItself?: boolean;
  /** Of a family: its members, each under the name of weights that somebody published. */
  readonly published?: readonly Published<Name>[];
}

/** Defines a backbone; the types follow from its options. */
export function backbonePart<const Name extends string, Shape extends z.ZodRawShape, Built extends Backbone>(
  definition: BackbonePart<Name, Shape, Built>,
): BackbonePart<Name, Shape, Built> {
  return definition;
}

/**
 * A network without its classifier: images (B, 3, H, W) to features, which are maps (B, featureSize, h, w), tokens
 * (B, N, featureSize), or one vector (B, featureSize) an image.
 */
export abstract class Backbone extends nn.Module {
  /** As an experiment names it. */
  abstract readonly name: string;
  /** Channels of the features. */
  abstract readonly featureSize: number;
  /** How images have to come. */
  abstract readonly input: InputFormat;
  /** Prefixes of the classifier's tensors in the published weights: they are left out, nothing else is. */
  abstract readonly classifierPrefixes: readonly string[];
  /** The names and shapes that files of its weights may have. */
  readonly keyMaps: readonly KeyMap[] = [ownNames];
  /** How other programs' files hold its weights where names are not all: in pieces, or as pieces. */
  readonly namings: readonly Naming[] = [];

  /** The same network in transformers; null: it has none that computes the same. */
  readonly transformersForm: TransformersForm | null = null;

  /**
   * Side in pixels of the smallest image that leaves a feature map: one of a smaller side would vanish on the way. Default 1.
   */
  readonly smallestSide: number = 1;

  /** Whether it runs its blocks by checkpoint(), so that their insides need not be kept for backward. */
  readonly checkpointsBlocks: boolean = false;

  /** What its convolutions and products are computed in; may be set at any time. Its features are float32. */
  precision: Precision = 'float32';

  /**
   * Layers of `layersByDepth()` whose output may come in the place of images: what is no batch (B, 3, H, W) goes through the others
   * alone. 0: images only.
   */
  keptBelow = 0;

  /** Tokens that are learned beside the image's; only where `tokenShape` says how they are. */
  prompts: Prompts | null = null;

  /** Of a transformer that takes prompts: its tokens; null: it takes none. */
  get tokenShape(): TokenShape | null {
    return null;
  }

  /** Whether images of this height or width can go through. */
  takesSide(side: number): boolean {
    return side >= this.smallestSide;
  }

  /**
   * @param shape of a batch of images
   * @throws UserError for images that cannot go through, which says what can
   */
  requireImages(shape: readonly number[]): void {
    if (this.isKept(shape)) return;
    const [, channels, height = 0, width = 0] = shape;
    if (shape.length !== 4 || channels !== 3) {
      throw new UserError(`${this.name}: expected images (B, 3, H, W), got the shape [${shape.join(', ')}]`);
    }
    for (const side of [height, width]) {
      if (this.takesSide(side)) continue;
      const below = nearest(side, -1, (other) => this.takesSide(other));
      const above = nearest(side, 1, (other) => this.takesSide(other));
      const next =
        below === null
          ? `at least ${above} pixels a side`
          : `${below} or ${above} pixels, the nearest that it takes`;
      throw new UserError(`${this.name}: expected images of ${next}, got ${height}×${width}`);
    }
  }

  /**
   * Images (B, 3, H, W) as `input` says to maps (B, featureSize, h, w), tokens (B, N, featureSize) or vectors
   * (B, featureSize), which belong to the caller.
   */
  abstract features(images: Tensor): Tensor;

  /**
   * Runs the layers from `from` up to, without, `to` of `layersByDepth()`, of which there is at least one, on what those before
   * made (the first: on images). What they make belongs to the caller. A backbone without it runs whole only.
   */
  through?(x: Tensor, from: number, to: number): Tensor;

  /** Images, or what the layers below `keptBelow` made of them, to the features, which belong to the caller. */
  featuresOf(x: Tensor): Tensor {
    if (!this.isKept(x.shape)) return this.features(x);
    const depth = this.layersByDepth().length;
    return this.keptBelow === depth ? x.view(x.shape) : this.through!(x, this.keptBelow, depth);
  }

  private isKept(shape: readonly number[]): boolean {
    return this.keptBelow > 0 && !(shape.length === 4 && shape[1] === 3);
  }

  /** The layers from the images to the features, in groups of one depth. */
  protected abstract layersByDepth(): readonly (readonly nn.Module[])[];

  /** The trained tensors in groups of one depth, from the images to the features: each in one group. */
  parametersByDepth(): Tensor[][] {
    return this.layersByDepth().map((layers) => layers.flatMap((layer) => layer.parameters()));
  }

  /** Trained tensors without weight decay, whatever their shape: class and register tokens, tables of positions, prompts. */
  undecayed(): readonly Tensor[] {
    return [...this.namedParameters()].flatMap(([name, parameter]) =>
      UNDECAYED.test(name) ? [parameter] : [],
    );
  }

  /** Lets training skip the blocks that hold an `nn.DropPath`: the last so often, the first never, rising evenly between. */
  protected setDropPath(last: number): void {
    const skipped = [...this.namedModules()].flatMap(([, each]) =>
      each instanceof nn.DropPath ? [each] : [],
    );
    const rates = nn.dropPathRates(last, skipped.length);
    for (const [i, each] of skipped.entries()) each.p = rates[i]!;
  }

  /**
   * Keeps the first layers as they are: their weights take no gradients, their BatchNorm keeps its statistics, and none
   * of their blocks is skipped.
   *
   * @param depth how many of `layersByDepth()`, from the images on
   * @throws OptionError for more than there are
   */
  freezeBelow(depth: number): void {
    const layers = this.layersByDepth();
    if (depth > layers.length)
      throw new OptionError(
        'freezeBelow',
        `expected at most ${layers.length}, the layers of ${this.name} from the images on; got ${depth}`,
      );
    for (const parameter of this.parametersByDepth().slice(0, depth).flat()) parameter.requiresGrad_(false);
    for (const layer of layers.slice(0, depth).flat()) {
      for (const [, module] of layer.namedModules()) {
        if (module instanceof nn.BatchNorm2d) module.frozen = true;
        if (module instanceof nn.DropPath) module.p = 0;
      }
    }
  }

  /** All tensors of the first layers, those too that stay: parameters, statistics, and what stands beside the layers. */
  tensorsBelow(depth: number): Tensor[] {
    const layers = this.layersByDepth().slice(0, depth).flat();
    const buffers = layers.flatMap((layer) => [...layer.namedBuffers()].map(([, buffer]) => buffer));
    return [...this.parametersByDepth().slice(0, depth).flat(), ...buffers];
  }

  /** The linear layers of a transformer's blocks, by what they are in; found by the names of timm and Hugging Face. */
  linearLayers(): { attention: nn.Linear[]; mlp: nn.Linear[] } {
    const linears = [...this.namedModules()].flatMap(([name, module]): [string, nn.Linear][] =>
      module instanceof nn.Linear ? [[name, module]] : [],
    );
    const within = (part: RegExp) => linears.flatMap(([name, layer]) => (part.test(name) ? [layer] : []));
    return { attention: within(/(^|\.)(attn|attention|self_attn)\./), mlp: within(/(^|\.)mlp\./) };
  }

  /**
   * Copies published weights into this backbone. Every missing, unexpected or mis-shaped name that is not the
   * classifier's is an error; then nothing is copied.
   *
   * @param weights a state dict with its own names or those of its `keyMaps` or `namings`; it is not changed, and stays the caller's
   * @returns the names that were left out: those of the classifier
   * @throws UserError that names what does not fit, or is not finite, or a variance below 0
   */
  loadPretrained(weights: ReadonlyMap<string, Tensor>): string[] {
    return scope(() => {
      const state = this.stateDict();
      const own = new Set(state.keys());
      const { kept, leftOut, others } = this.renamed(weights, own);
      for (const [name, value] of others) {
        const known = namedBy(this.keyMaps, own, name);
        if (known) kept.set(known.ownName, known.map.shaped?.(known.ownName, value) ?? value);
        else if (this.classifierPrefixes.some((prefix) => name.startsWith(prefix))) leftOut.push(name);
        else kept.set(name, value);
      }
      for (const [name, value] of kept) kept.set(name, asLinear(value, state.get(name)?.shape));
      const faults = this.integersIn(kept) ?? weightFaults(kept);
      if (faults !== null) throw new UserError(`the weights cannot be used: ${faults}`);
      try {
        this.loadStateDict(kept);
      } catch (error) {
        const reason = error instanceof Error ? error.message.replace(/^.*nothing was loaded: /, '') : error;
        throw new UserError(`the weights do not fit ${this.name}: ${reason}; ${FITTING}`);
      }
      return leftOut;
    });
  }

  /** What another program's naming makes of the weights, where one fits better than the network's own names. */
  private renamed(weights: ReadonlyMap<string, Tensor>, own: ReadonlySet<string>) {
    const kept = new Map<string, Tensor>();
    const leftOut: string[] = [];
    const others = new Map(weights);
    const names = [...weights.keys()];
    const store = recognise(this.namings, own, names);
    const byName = names.filter((name) => namedBy(this.keyMaps, own, name) !== null).length;
    if (store === null || store.tensors.size <= byName) return { kept, leftOut, others };
    for (const [name, { names: sources, make }] of store.tensors) {
      const tensors = sources.map((source) => weights.get(source) as Tensor);
      kept.set(name, make?.(tensors) ?? (tensors[0] as Tensor));
    }
    for (const { names: sources } of store.tensors.values())
      for (const source of sources) others.delete(source);
    for (const name of others.keys()) {
      const inside = name.startsWith(store.prefix) ? name.slice(store.prefix.length) : null;
      if (inside !== null && !store.naming.ignored?.test(inside)) continue;
      leftOut.push(name);
      others.delete(name);
    }
    return { kept, leftOut, others };
  }

  /** Integers would be taken for the weights that they are a code of (of 8 bits, with scales beside them). */
  private integersIn(weights: ReadonlyMap<string, Tensor>): string | null {
    const names = [...this.stateDict()]
      .filter(
        ([name, own]) => own.dtype.includes('float') && weights.get(name)?.dtype.includes('float') === false,
      )
      .map(([name]) => name);
    return names.length > 0 ? `integers in ${firstThree(names)}` : null;
  }
}

/** The nearest side in one direction that is fit; null where there is none of at least a pixel. */
function nearest(side: number, step: 1 | -1, fits: (side: number) => boolean): number | null {
  for (let other = side + step; other > 0; other += step) if (fits(other)) return other;
  return null;
}

/** A linear layer and a 1x1 convolution are the same: the weight of either does for the other. */
function asLinear(value: Tensor, own: readonly number[] | undefined): Tensor {
  const { shape } = value;
  const isBoth = (one: readonly number[], other: readonly number[]) =>
    one.length === 2 && other.length === 4 && `${other}` === `${[...one, 1, 1]}`;
  return own !== undefined && (isBoth(own, shape) || isBoth(shape, own)) ? value.reshape(own) : value;
}
