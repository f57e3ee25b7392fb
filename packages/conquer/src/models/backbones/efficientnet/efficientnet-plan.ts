import type { Activation } from '../../layers/activation.js';

/** One block of a network, as it is built. */
export interface BlockPlan {
  kind: 'separable' | 'inverted' | 'convolution';
  kernel: number;
  stride: number;
  /** Into the block. */
  inChannels: number;
  /** Within it. */
  expanded: number;
  /** Out of it. */
  channels: number;
  /** Channels behind the squeeze; null: none. */
  squeezed: number | null;
  /** In place of the network's; null: that. */
  activation: Activation | null;
  /** See EfficientNetShape.paddedAsOdd; null: as the size that comes asks for. */
  paddedAs: 'even' | 'odd' | null;
}

/** Blocks of one form, one after another, the first of which has the stride. */
interface Row {
  kind: BlockPlan['kind'];
  repeats: number;
  kernel: number;
  stride: number;
  expand: number;
  channels: number;
  squeeze: boolean;
  activation: Activation | null;
}

const separable = (kernel: number, stride: number, channels: number, squeeze = false): Row => ({
  ...{ kind: 'separable', repeats: 1, expand: 1, activation: null },
  ...{ kernel, stride, channels, squeeze },
});
const inverted = (
  [repeats, kernel, stride]: readonly [repeats: number, kernel: number, stride: number],
  expand: number,
  channels: number,
  squeeze = false,
): Row => ({
  ...{ kind: 'inverted', activation: null },
  ...{ repeats, kernel, stride, expand, channels, squeeze },
});
const convolution = (channels: number): Row => ({
  ...{ kind: 'convolution', repeats: 1, kernel: 1, stride: 1, expand: 1 },
  ...{ squeeze: false, activation: null, channels },
});
const relu = (row: Row): Row => ({ ...row, activation: 'relu' });

const efficientnet = (squeeze: boolean): Row[][] => [
  [separable(3, 1, 16, squeeze)],
  [inverted([2, 3, 2], 6, 24, squeeze)],
  [inverted([2, 5, 2], 6, 40, squeeze)],
  [inverted([3, 3, 2], 6, 80, squeeze)],
  [inverted([3, 5, 1], 6, 112, squeeze)],
  [inverted([4, 5, 2], 6, 192, squeeze)],
  [inverted([1, 3, 1], 6, 320, squeeze)],
];

/** The stages of each kind of network: Tan and Le, arXiv 1905.11946; Sandler et al., 1801.04381; Howard et al., 1905.02244. */
const stagesOf = {
  efficientnet: efficientnet(true),
  'efficientnet-lite': efficientnet(false),
  mobilenetv2: [
    [separable(3, 1, 16)],
    [inverted([2, 3, 2], 6, 24)],
    [inverted([3, 3, 2], 6, 32)],
    [inverted([4, 3, 2], 6, 64)],
    [inverted([3, 3, 1], 6, 96)],
    [inverted([3, 3, 2], 6, 160)],
    [inverted([1, 3, 1], 6, 320)],
  ],
  'mobilenetv3-large': [
    [relu(separable(3, 1, 16))],
    [relu(inverted([1, 3, 2], 4, 24)), relu(inverted([1, 3, 1], 3, 24))],
    [relu(inverted([3, 5, 2], 3, 40, true))],
    [inverted([1, 3, 2], 6, 80), inverted([1, 3, 1], 2.5, 80), inverted([2, 3, 1], 2.3, 80)],
    [inverted([2, 3, 1], 6, 112, true)],
    [inverted([3, 5, 2], 6, 160, true)],
    [convolution(960)],
  ],
  'mobilenetv3-small': [
    [relu(separable(3, 2, 16, true))],
    [relu(inverted([1, 3, 2], 4.5, 24)), relu(inverted([1, 3, 1], 3.67, 24))],
    [inverted([1, 5, 2], 4, 40, true), inverted([2, 5, 1], 6, 40, true)],
    [inverted([2, 5, 1], 3, 48, true)],
    [inverted([3, 5, 2], 6, 96, true)],
    [convolution(576)],
  ],
} as const satisfies Record<string, Row[][]>;

/** What an EfficientNet or a MobileNet is made of. */
export interface EfficientNetShape {
  kind: keyof typeof stagesOf;
  /** Factor of the channels; default 1. */
  width?: number;
  /** Factor of the number of blocks; default 1. */
  depth?: number;
  /** Whether the factors leave the first and the last layers as they are; default: as the kind has it. */
  fixedEnds?: boolean;
  /** As TensorFlow's weights want it: padding, and 1e-3 added to variances. Default false. */
  tensorflow?: boolean;
  /**
   * As transformers pads EfficientNets: where a block halves its maps, and in the stem, as for maps of an even size whatever
   * comes, but in these blocks, counted through, as for an odd one. Left out: as the size that comes asks for.
   */
  paddedAsOdd?: readonly number[];
  /** Whether channels times the factor are made a whole number before they are made a multiple of 8, as transformers does it. */
  wholeChannels?: boolean;
  /** Channels of the feature; default: as the kind has it. */
  features?: number;
  /** How often each form of block of each stage comes, in place of what `depth` makes of the kind's own numbers. */
  repeats?: readonly (readonly number[])[];
}

/** A multiple of 8 near a number of channels, not more than a tenth below. */
export function roundChannels(channels: number): number {
  const rounded = Math.max(8, Math.floor((channels + 4) / 8) * 8);
  return rounded < 0.9 * channels ? rounded + 8 : rounded;
}

export interface NetworkPlan {
  stem: number;
  stages: BlockPlan[][];
  /** Channels of the feature. */
  features: number;
}

/** All layers of a network, with their channels. */
export function planOf({
  kind,
  width = 1,
  depth = 1,
  fixedEnds,
  features,
  repeats,
  paddedAsOdd,
  wholeChannels = false,
}: EfficientNetShape): NetworkPlan {
  const isV3 = kind.startsWith('mobilenetv3');
  const fixed = fixedEnds ?? kind === 'efficientnet-lite';
  const scaled = (channels: number) =>
    roundChannels(wholeChannels ? halfToEven(channels * width) : channels * width);
  const stemBase = isV3 ? 16 : 32;
  const stem = (isV3 ? width < 0.75 : fixed) ? stemBase : scaled(stemBase);
  const rows: readonly Row[][] = stagesOf[kind];
  let inChannels = stem;
  let block = 0;
  const stages = rows.map((stage, i) => {
    const isEnd = i === 0 || i === rows.length - 1;
    const counts = repeats?.[i] ?? countsOf(stage, fixed && isEnd ? 1 : depth);
    return repeated(stage, counts).map((row): BlockPlan => {
      const plan = blockOf(row, inChannels, scaled(row.channels), isV3);
      inChannels = plan.channels;
      const paddedAs = paddedAsOdd && (paddedAsOdd.includes(block) ? 'odd' : 'even');
      block++;
      return { ...plan, paddedAs: paddedAs ?? null };
    });
  });
  const usual = {
    efficientnet: scaled(1280),
    'efficientnet-lite': 1280,
    mobilenetv2: fixed ? 1280 : Math.max(1280, scaled(1280)),
    'mobilenetv3-large': 1280,
    'mobilenetv3-small': 1024,
  };
  return { stem, stages, features: features ?? usual[kind] };
}

function blockOf(
  { squeeze, ...row }: Row,
  inChannels: number,
  channels: number,
  isV3: boolean,
): Omit<BlockPlan, 'paddedAs'> {
  const expanded = row.kind === 'inverted' ? roundChannels(inChannels * row.expand) : inChannels;
  // A quarter of what comes into the block, or, in MobileNetV3, of what is within it.
  const squeezed = isV3 ? roundChannels(expanded / 4) : Math.round((expanded * 0.25) / row.expand);
  const { kind, kernel, stride, activation } = row;
  return {
    kind,
    kernel,
    stride,
    activation,
    inChannels,
    expanded,
    channels,
    squeezed: squeeze ? squeezed : null,
  };
}

/** How often the rows of a stage come: all blocks times the factor, rounded up, shared out from the last row on. */
function countsOf(stage: readonly Row[], factor: number): number[] {
  let before = stage.reduce((sum, { repeats }) => sum + repeats, 0);
  let after = Math.ceil(before * factor);
  const counts = stage.map(() => 1);
  for (let i = stage.length - 1; i >= 0; i--) {
    const { repeats } = stage[i] as Row;
    counts[i] = Math.max(1, halfToEven((repeats / before) * after));
    before -= repeats;
    after -= counts[i] as number;
  }
  return counts;
}

/** As Python rounds, in which the published networks were scaled. */
function halfToEven(x: number): number {
  const below = Math.floor(x);
  return x - below === 0.5 ? below + (below % 2) : Math.round(x);
}

/** The blocks of a stage one by one. */
function repeated(stage: readonly Row[], counts: readonly number[]): Row[] {
  return stage.flatMap((row, i) =>
    Array.from({ length: counts[i] as number }, (_, n) => (n === 0 ? row : { ...row, stride: 1 })),
  );
}
