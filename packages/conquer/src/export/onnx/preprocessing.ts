import { type PixelFormat, type Preprocessing, resizesWhole } from '@conquer-dml/run';
import type { Graph } from './graph.js';

/**
 * Nodes from pixels as a decoder gives them to what the network sees (B, 3, size, size): cut, resized, normalised, as `view` says.
 * Sizes are computed in the graph, so that pictures may come in any size, one for a batch.
 *
 * @param pixels name of uint8 (B, H, W, 3), RGB
 * @returns the name of float32 (B, 3, size, size)
 */
export function preprocessingInto(graph: Graph, pixels: string, view: Preprocessing): string {
  const { size, resize, reduction, input, squash = false, centre = 'even' } = view;
  const images = graph.add('Transpose', [pixels], { perm: { ints: [0, 3, 1, 2] } });
  const stage = new Stage(graph, images, input.interpolation);
  if (reduction?.square) {
    stage.cutSquare(1, 1);
    stage.resize(stage.whole(reduction.size));
    if (resize !== reduction.size) stage.resize(stage.whole(resize));
    return normalized(graph, stage.sampled(size), input);
  }
  if (resizesWhole(view)) {
    stage.resize(squash ? stage.whole(resize) : stage.shortSide(resize));
    stage.cutCentre(size, centre);
  } else {
    if (reduction) stage.resize(stage.reducedTo(reduction.size));
    stage.cutSquare(size, resize);
    stage.resize(stage.whole(size));
  }
  return normalized(graph, graph.add('Cast', [stage.images], { to: { int: 1 } }), input);
}

/** (scale · pixel / 255 − mean) / std of each channel, in the network's order. */
function normalized(graph: Graph, pixels: string, { channels, scale, mean, std }: PixelFormat): string {
  const row = (values: readonly number[]) => graph.constant('float32', [1, 3, 1, 1], values);
  const ordered =
    channels === 'BGR'
      ? graph.add('Gather', [pixels, graph.integers([2, 1, 0])], { axis: { int: 1 } })
      : pixels;
  const scaled = graph.add('Mul', [ordered, row(std.map((value) => scale / 255 / value))]);
  return graph.add('Sub', [scaled, row(mean.map((value, i) => value / std[i]!))]);
}

/** Height and width, int64 (1) each. */
interface Sides {
  height: string;
  width: string;
}

/** Images (B, 3, H, W) on their way; sizes are values of the graph. */
class Stage {
  constructor(
    private readonly graph: Graph,
    public images: string,
    private readonly filter: PixelFormat['interpolation'],
  ) {}

  private sides(): Sides {
    const side = (axis: number) =>
      this.graph.add('Shape', [this.images], { start: { int: axis }, end: { int: axis + 1 } });
    return { height: side(2), width: side(3) };
  }
  private int(value: number): string {
    return this.graph.integers([value]);
  }
  private op(operator: string, ...inputs: string[]): string {
    return this.graph.add(operator, inputs);
  }
  /** value · numerator / denominator, as Math.round, at least 1. In whole numbers: WebGPU's runtime has no float64. */
  private share(value: string, numerator: string, denominator: string): string {
    const twice = (of: string) => this.op('Mul', of, this.int(2));
    const up = this.op('Add', twice(this.op('Mul', value, numerator)), denominator);
    return this.op('Max', this.op('Div', up, twice(denominator)), this.int(1));
  }

  whole(side: number): Sides {
    return { height: this.int(side), width: this.int(side) };
  }

  /** The short side so long, the long one rounded down. */
  shortSide(length: number): Sides {
    const { height, width } = this.sides();
    const short = this.op('Min', height, width);
    const of = (side: string) => this.op('Div', this.op('Mul', side, this.int(length)), short);
    return { height: of(height), width: of(width) };
  }

  /** The short side at most so long, the ratio kept. */
  reducedTo(length: number): Sides {
    const { height, width } = this.sides();
    const short = this.op('Min', height, width);
    const most = this.op('Min', short, this.int(length));
    return { height: this.share(height, most, short), width: this.share(width, most, short) };
  }

  /** As Pillow: onnxruntime filters bytes in Pillow's two passes where they are to be smoothed. */
  resize({ height, width }: Sides): void {
    const bicubic = this.filter === 'bicubic';
    this.images = this.graph.add(
      'Resize',
      [
        this.images,
        '',
        '',
        this.graph.add('Concat', [this.batchAndChannels(), height, width], { axis: { int: 0 } }),
      ],
      {
        mode: { string: bicubic ? 'cubic' : 'linear' },
        antialias: { int: 1 },
        exclude_outside: { int: 1 },
        coordinate_transformation_mode: { string: 'half_pixel' },
        ...(bicubic && { cubic_coeff_a: { float: -0.5 } }),
      },
    );
  }

  private batchAndChannels(): string {
    return this.graph.add('Shape', [this.images], { start: { int: 0 }, end: { int: 2 } });
  }

  /** The central square, of so much of the short side. */
  cutSquare(part: number, whole: number): void {
    const { height, width } = this.sides();
    const side = this.share(this.op('Min', height, width), this.int(part), this.int(whole));
    const before = (length: string) => this.op('Div', this.op('Sub', length, side), this.int(2));
    this.cut(before(height), before(width), side);
  }

  /** The central square of so many pixels. */
  cutCentre(size: number, centre: 'even' | 'down'): void {
    const { height, width } = this.sides();
    const before = (length: string) => {
      const room = this.op('Sub', length, this.int(size));
      const half = this.op('Div', room, this.int(2));
      if (centre === 'down') return half;
      const odd = (value: string) => this.op('Mod', value, this.int(2));
      return this.op('Add', half, this.op('Mul', odd(room), odd(half)));
    };
    this.cut(before(height), before(width), this.int(size));
  }

  private cut(top: string, left: string, side: string): void {
    const both = (a: string, b: string) => this.graph.add('Concat', [a, b], { axis: { int: 0 } });
    const end = both(this.op('Add', top, side), this.op('Add', left, side));
    this.images = this.op('Slice', this.images, both(top, left), end, this.graph.integers([2, 3]));
  }

  /** Each pixel between four, not smoothed, rounded to 8 bits: as floats. */
  sampled(size: number): string {
    const { height, width } = this.whole(size);
    const floats = this.graph.add('Cast', [this.images], { to: { int: 1 } });
    const sizes = this.graph.add('Concat', [this.batchAndChannels(), height, width], { axis: { int: 0 } });
    const between = this.graph.add('Resize', [floats, '', '', sizes], {
      mode: { string: 'linear' },
      coordinate_transformation_mode: { string: 'half_pixel' },
    });
    return this.op('Floor', this.op('Add', between, this.graph.scalar(0.5)));
  }
}
