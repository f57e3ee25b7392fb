import { nn, scope, type Tensor } from '@conquer-dml/torch';
import type { InputFormat } from '../../input-format.js';
import { activate } from '../../layers/activation.js';
import {
  type BlockContext,
  batchNorm,
  ConvolutionBlock,
  convolved,
  DepthwiseSeparable,
  InvertedResidual,
  PaddedConv,
} from '../../layers/inverted-residual.js';
import { runStage } from '../../layers/residual-blocks.js';
import type { Naming } from '../../weights/naming.js';
import type { TransformersForm } from '../../weights/transformers-form.js';
import { Backbone, type BackboneContext, type DropPathContext, dropPathOption } from '../backbone.js';
import { family } from '../family.js';
import { efficientnetTransformersForm } from './efficientnet-config.js';
import { efficientnetNamings } from './efficientnet-naming.js';
import { type BlockPlan, type EfficientNetShape, planOf } from './efficientnet-plan.js';
import { efficientnetWeights, mobilenetWeights } from './efficientnet-weights.js';

const contextOf = (
  { kind, tensorflow = false }: EfficientNetShape,
  context: Partial<BackboneContext>,
): BlockContext => {
  const isV3 = kind.startsWith('mobilenetv3');
  return {
    ...context,
    activation: isV3 ? 'hard-swish' : kind === 'efficientnet' ? 'silu' : 'relu6',
    gate: isV3 ? 'hard-sigmoid' : 'sigmoid',
    same: tensorflow,
    eps: tensorflow ? 1e-3 : 1e-5,
  };
};

const blocks = {
  separable: DepthwiseSeparable,
  inverted: InvertedResidual,
  convolution: ConvolutionBlock,
} as const;

/** The blocks of one resolution, under the names 0, 1, ... */
class Stage extends nn.Sequential {
  constructor(plans: readonly BlockPlan[], context: BlockContext) {
    super(...plans.map((plan) => new blocks[plan.kind](plan.inChannels, plan, context)));
  }
}

/** What EfficientNets and MobileNets have in common: a stem, and stages of inverted residuals. In timm's names. */
abstract class MobileBackbone extends Backbone {
  override readonly checkpointsBlocks = true;
  abstract override readonly featureSize: number;
  readonly classifierPrefixes = ['classifier.', '_fc.'];
  override readonly namings: readonly Naming[];
  override readonly transformersForm: TransformersForm | null;
  readonly convStem: PaddedConv;
  readonly bn1: nn.BatchNorm2d;
  readonly blocks: Stage[];
  protected readonly context: BlockContext;

  constructor(
    readonly name: string,
    shape: EfficientNetShape,
    readonly input: InputFormat,
    { dropPath = 0, ...context }: DropPathContext,
  ) {
    super();
    const { stem, stages } = planOf(shape);
    this.context = contextOf(shape, context);
    const paddedAs = shape.paddedAsOdd ? 'even' : null;
    this.convStem = new PaddedConv(3, stem, 3, 2, { ...this.context, paddedAs });
    this.bn1 = batchNorm(stem, this.context);
    this.blocks = stages.map((plans) => new Stage(plans, this.context));
    this.namings = efficientnetNamings(stages);
    this.transformersForm = efficientnetTransformersForm(shape);
    this.setDropPath(dropPath);
  }

  /** Images (B, 3, H, W) to maps (B, featureSize, H / 32, W / 32), rounded up, or vectors (B, featureSize). */
  features(images: Tensor): Tensor {
    return this.through(images, 0, this.layersByDepth().length);
  }

  override through(x: Tensor, from: number, to: number): Tensor {
    const blocks = this.blocks.flatMap((stage) => [...stage]);
    return scope(() => {
      const maps = scope(() => {
        const given = nn.channelsLast(x);
        return runStage(
          blocks.slice(Math.max(from - 1, 0), to - 1),
          from === 0 ? convolved(given, this.convStem, this.bn1, this.context.activation) : given,
        );
      });
      return to > blocks.length + 1 ? this.finished(nn.channelsLast(maps)) : maps;
    });
  }

  /** The last stage's maps to the features. */
  protected abstract finished(maps: Tensor): Tensor;

  /** The layers behind the stages. */
  protected abstract last(): nn.Module[];

  protected layersByDepth(): nn.Module[][] {
    const all = this.blocks.flatMap((stage) => [...stage]);
    return [[this.convStem, this.bn1], ...all.map((block) => [block]), this.last()];
  }
}

/** EfficientNet, EfficientNet-Lite and MobileNetV2 without the classifier. */
export class EfficientNet extends MobileBackbone {
  readonly featureSize: number;
  readonly convHead: PaddedConv;
  readonly bn2: nn.BatchNorm2d;

  constructor(name: string, shape: EfficientNetShape, input: InputFormat, context: DropPathContext = {}) {
    super(name, shape, input, context);
    const { stages, features } = planOf(shape);
    const channels = stages.at(-1)?.at(-1)?.channels as number;
    this.featureSize = features;
    this.convHead = new PaddedConv(channels, features, 1, 1, this.context);
    this.bn2 = batchNorm(features, this.context);
  }

  protected finished(maps: Tensor): Tensor {
    return convolved(maps, this.convHead, this.bn2, this.context.activation);
  }

  protected last(): nn.Module[] {
    return [this.convHead, this.bn2];
  }
}

/** MobileNetV3 without the classifier. Its feature is a vector: a layer stands behind the mean over the map. */
export class MobileNetV3 extends MobileBackbone {
  readonly featureSize: number;
  readonly convHead: nn.Conv2d;

  constructor(name: string, shape: EfficientNetShape, input: InputFormat, context: DropPathContext = {}) {
    super(name, shape, input, context);
    const { stages, features } = planOf(shape);
    const { generator, device } = context;
    const channels = stages.at(-1)?.at(-1)?.channels as number;
    this.featureSize = features;
    this.convHead = new nn.Conv2d(channels, features, 1, { generator, device });
  }

  protected finished(maps: Tensor): Tensor {
    return scope(() => {
      const means = maps.mean([2, 3], true);
      return activate(this.context.activation, this.convHead.forward(means)).flatten(1);
    });
  }

  protected last(): nn.Module[] {
    return [this.convHead];
  }
}

export const efficientnet = family({
  name: 'efficientnet_b0.ra_in1k',
  help: 'EfficientNet b0 to b4, EfficientNet-Lite 0 to 2 and MobileNetV2',
  published: efficientnetWeights,
  batchNorm: true,
  options: { dropPath: dropPathOption },
  build: ({ name, shape, input }, context, options) =>
    new EfficientNet(name, shape, input, { ...context, ...options }),
});

export const mobilenet = family({
  name: 'mobilenetv3_large_100.ra_in1k',
  help: 'MobileNetV3',
  published: mobilenetWeights,
  batchNorm: true,
  poolsItself: true,
  options: { dropPath: dropPathOption },
  build: ({ name, shape, input }, context, options) =>
    new MobileNetV3(name, shape, input, { ...context, ...options }),
});
