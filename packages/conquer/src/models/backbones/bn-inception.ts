import { aten, cat, F, nn, scope, type Tensor } from '@conquer-dml/torch';
import { z } from 'zod';
import type { InputFormat } from '../input-format.js';
import type { KeyMap } from '../weights/key-map.js';
import { Backbone, type BackboneContext, backbonePart } from './backbone.js';

/** The channels of one inception block, branch by branch; a block of stride 2 passes its pooled input on. */
interface Block {
  name: string;
  /** Of the 1x1 branch; blocks of stride 2 have none. */
  single?: number;
  /** Of the 3x3 branch: its 1x1 reduction and its 3x3 convolution. */
  triple: readonly [number, number];
  /** Of the double 3x3 branch: its 1x1 reduction and both its 3x3 convolutions. */
  double: readonly [number, number];
  /** Of the 1x1 convolution after the pooling; blocks of stride 2 have none. */
  projection?: number;
  pool: 'average' | 'max';
}

/** Ioffe and Szegedy, arXiv 1502.03167, figure 5, as Caffe's published network has it. */
const blocks: readonly Block[] = [
  { name: '3a', single: 64, triple: [64, 64], double: [64, 96], projection: 32, pool: 'average' },
  { name: '3b', single: 64, triple: [64, 96], double: [64, 96], projection: 64, pool: 'average' },
  { name: '3c', triple: [128, 160], double: [64, 96], pool: 'max' },
  { name: '4a', single: 224, triple: [64, 96], double: [96, 128], projection: 128, pool: 'average' },
  { name: '4b', single: 192, triple: [96, 128], double: [96, 128], projection: 128, pool: 'average' },
  { name: '4c', single: 160, triple: [128, 160], double: [128, 160], projection: 128, pool: 'average' },
  { name: '4d', single: 96, triple: [128, 192], double: [160, 192], projection: 128, pool: 'average' },
  { name: '4e', triple: [128, 192], double: [192, 256], pool: 'max' },
  { name: '5a', single: 352, triple: [192, 320], double: [160, 224], projection: 128, pool: 'average' },
  { name: '5b', single: 352, triple: [192, 320], double: [192, 224], projection: 128, pool: 'max' },
];

/** The BatchNorm vectors may also come as (1, C), as the published file has them, or (1, C, 1, 1). */
const rows: KeyMap = {
  ownName: (stored) => stored,
  shaped: (name, stored) => {
    const isRow =
      name.includes('_bn.') &&
      stored.shape.length > 1 &&
      stored.shape.every((size, dim) => dim === 1 || size === 1);
    return isRow ? stored.flatten() : stored;
  },
};

/**
 * BN-Inception without its last layer, with the parameter names of the file that is in use for PyTorch
 * (conv1_7x7_s2.weight, conv1_7x7_s2_bn.weight, inception_3a_1x1.weight, ...), which was converted from Caffe.
 * Every convolution has a bias and is followed by BatchNorm and ReLU. Initialised by PyTorch's default.
 */
export class BNInception extends Backbone {
  readonly name = 'bn-inception';
  readonly featureSize = 1024;
  /** Caffe's: blue first, 0 to 255, the means subtracted. */
  readonly input: InputFormat = {
    size: 224,
    channels: 'BGR',
    scale: 255,
    mean: [104, 117, 128],
    std: [1, 1, 1],
  };
  readonly classifierPrefixes = ['last_linear.', 'fc.'];
  override readonly keyMaps = [rows];
  // A Map, which Module does not look into: namedChildren() names what is in it.
  private readonly units = new Map<string, { convolution: nn.Conv2d; norm: nn.BatchNorm2d }>();

  constructor({ frozenBatchNorm: frozen = false, generator }: Partial<BackboneContext> = {}) {
    super();
    const unit = (name: string, inChannels: number, outChannels: number, size: number, stride = 1) => {
      const padding = (size - 1) / 2;
      this.units.set(name, {
        convolution: new nn.Conv2d(inChannels, outChannels, size, { stride, padding, generator }),
        norm: new nn.BatchNorm2d(outChannels, { frozen }),
      });
    };
    unit('conv1_7x7_s2', 3, 64, 7, 2);
    unit('conv2_3x3_reduce', 64, 64, 1);
    unit('conv2_3x3', 64, 192, 3);
    let inChannels = 192;
    for (const { name, single, triple, double, projection } of blocks) {
      const prefix = `inception_${name}_`;
      const stride = single === undefined ? 2 : 1;
      if (single !== undefined) unit(`${prefix}1x1`, inChannels, single, 1);
      unit(`${prefix}3x3_reduce`, inChannels, triple[0], 1);
      unit(`${prefix}3x3`, triple[0], triple[1], 3, stride);
      unit(`${prefix}double_3x3_reduce`, inChannels, double[0], 1);
      unit(`${prefix}double_3x3_1`, double[0], double[1], 3);
      unit(`${prefix}double_3x3_2`, double[1], double[1], 3, stride);
      if (projection !== undefined) unit(`${prefix}pool_proj`, inChannels, projection, 1);
      inChannels = (single ?? 0) + triple[1] + double[1] + (projection ?? inChannels);
    }
  }

  override *namedChildren(): globalThis.Generator<[string, nn.Module]> {
    for (const [name, { convolution, norm }] of this.units) {
      yield [name, convolution];
      yield [`${name}_bn`, norm];
    }
  }

  protected layersByDepth(): nn.Module[][] {
    const groups = new Map<string, nn.Module[]>();
    for (const [name, { convolution, norm }] of this.units) {
      const depth = /^(conv1|conv2|inception_\d.)_/.exec(name)?.[1] as string;
      groups.set(depth, [...(groups.get(depth) ?? []), convolution, norm]);
    }
    return [...groups.values()];
  }

  /** Where a block of stride 2 halves the maps, its convolutions round up and its pooling down. */
  override takesSide(side: number): boolean {
    // Past the first convolution and both poolings behind it, by the formulas of libtorch.
    const pooled = (of: number) => Math.ceil((of - 3) / 2) + 1;
    const before3c = pooled(pooled(Math.floor((side - 1) / 2) + 1));
    return side >= 1 && before3c >= 4 && before3c % 4 === 0;
  }

  /** Images (B, 3, H, W) to (B, 1024, h, w): 7x7 for 224 pixels. */
  features(images: Tensor): Tensor {
    this.requireImages(images.shape);
    return scope(() => {
      let maps = scope(() => {
        const stem = halve(this.unit('conv1_7x7_s2', nn.channelsLast(images)));
        return halve(this.unit('conv2_3x3', this.unit('conv2_3x3_reduce', stem)));
      });
      for (const block of blocks) {
        const next = this.block(block, maps);
        maps.dispose();
        maps = next;
      }
      return maps;
    });
  }

  private block({ name, single, projection, pool }: Block, x: Tensor): Tensor {
    const prefix = `inception_${name}_`;
    return scope(() => {
      const double = this.unit(`${prefix}double_3x3_reduce`, x);
      const branches = [
        this.unit(`${prefix}3x3`, this.unit(`${prefix}3x3_reduce`, x)),
        this.unit(`${prefix}double_3x3_2`, this.unit(`${prefix}double_3x3_1`, double)),
      ];
      if (single === undefined || projection === undefined) return cat([...branches, halve(x)], 1);
      const pooled =
        pool === 'average'
          ? aten.avg_pool2d(x, [3, 3], [1, 1], [1, 1])
          : F.maxPool2d(x, 3, { stride: 1, padding: 1 });
      return cat([this.unit(`${prefix}1x1`, x), ...branches, this.unit(`${prefix}pool_proj`, pooled)], 1);
    });
  }

  /** Convolution, BatchNorm and, written out here rather than left to a layer's side effect, the ReLU. */
  private unit(name: string, x: Tensor): Tensor {
    const layers = this.units.get(name);
    if (layers === undefined) throw new RangeError(`bn-inception has no layer ${name}`);
    return scope(() => nn.convBatchNorm(x, layers.convolution, layers.norm).relu_());
  }
}

/** 3x3 maximum, stride 2, without padding; the last window reaches over the border, as in Caffe. */
function halve(x: Tensor): Tensor {
  return F.maxPool2d(x, 3, { stride: 2, ceilMode: true });
}

export const bnInception = backbonePart({
  name: 'bn-inception',
  help: 'Inception with BatchNorm, as converted from Caffe',
  options: z.strictObject({}),
  batchNorm: true,
  weights: null,
  weightsElsewhere:
    'fetch http://data.lip6.fr/cadene/pretrainedmodels/bn_inception-52deb4733.pth (converted from Caffe) and give that file',
  build: (_, context) => new BNInception(context),
});
