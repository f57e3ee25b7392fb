import { aten, F, full, linspace, ones, scope, stack, type Tensor, tensor } from '@conquer-dml/torch';

// The operators of RandAugment on images (B, 3, H, W) of whole numbers 0 to 255 in floats, each with a number for each
// image. They do what torchvision's functional ones do to images of bytes, rounding included (where those cut the fraction
// off, so do these), so that pixels are equal. Results belong to the caller.

/** What an operator does to a batch; the length of `values` is that of the batch. */
export type ByteOperator = (images: Tensor, values: readonly number[]) => Tensor;

/** ratio · image + (1 − ratio) · other, cut to whole numbers in range. */
const blend = (images: Tensor, other: Tensor | null, ratios: readonly number[]): Tensor => {
  const ratio = each(ratios, images);
  const scaled = images.mul(ratio);
  const sum =
    other === null
      ? scaled
      : scaled.add(
          other.mul(
            each(
              ratios.map((r) => 1 - r),
              images,
            ),
          ),
        );
  return sum.clamp({ min: 0, max: 255 }).floor();
};

function each(values: readonly number[], like: Tensor): Tensor {
  return tensor(Float32Array.from(values), { shape: [values.length, 1, 1, 1] }).to({ device: like.device });
}

/** (B, 1, H, W) */
function grey(images: Tensor): Tensor {
  const [red, green, blue] = [0, 1, 2].map((channel) => images.narrow(1, channel, 1)) as [
    Tensor,
    Tensor,
    Tensor,
  ];
  return red.mul(0.2989).add(green.mul(0.587)).add(blue.mul(0.114)).floor();
}

/** By factors: 0 is black, 1 nothing. */
export const brightness: ByteOperator = (images, factors) => scope(() => blend(images, null, factors));

/** By factors: 0 is grey, 1 nothing. */
export const saturation: ByteOperator = (images, factors) =>
  scope(() => blend(images, grey(images), factors));

/** By factors: 0 is the mean grey of the image, 1 nothing. */
export const contrast: ByteOperator = (images, factors) =>
  scope(() => blend(images, grey(images).mean([1, 2, 3], true), factors));

/** By factors: 0 is smoothed by 3×3 pixels, 1 nothing; the border stays. */
export const sharpness: ByteOperator = (images, factors) =>
  scope(() => {
    const [, channels = 0, height = 0, width = 0] = images.shape;
    if (height <= 2 || width <= 2) return images.clone();
    const weights = Float32Array.from({ length: 9 }, (_, i) => (i === 4 ? 5 / 13 : 1 / 13));
    const kernel = tensor(weights, { shape: [1, 1, 3, 3] })
      .to({ device: images.device })
      .expand([channels, 1, 3, 3]);
    const smooth = images.clone();
    const inner = smooth.narrow(2, 1, height - 2).narrow(3, 1, width - 2);
    inner.copy_(F.conv2d(images, kernel, null, { groups: channels }).round());
    return blend(images, smooth, factors);
  });

/** Keeps so many of the 8 bits. */
export const posterize: ByteOperator = (images, bits) =>
  scope(() => {
    const step = each(
      bits.map((kept) => 2 ** (8 - kept)),
      images,
    );
    return images.div(step).floor().mul(step);
  });

/** Turns values from a threshold on into their negative. */
export const solarize: ByteOperator = (images, thresholds) =>
  scope(() =>
    images
      .neg()
      .add(255)
      .where(images.ge(each(thresholds, images)), images),
  );

/** Stretches each channel to 0…255. */
export const autoContrast: ByteOperator = (images) =>
  scope(() => {
    const low = images.amin([2, 3], true);
    const range = images.amax([2, 3], true).sub(low);
    const isFlat = range.eq(0);
    const scale = full([1], 255).to({ device: images.device }).div(range).maskedFill(isFlat, 1);
    return images.sub(low.maskedFill(isFlat, 0)).mul(scale).clamp({ min: 0, max: 255 }).floor();
  });

/** Makes the histogram of each channel flat. */
export const equalize: ByteOperator = (images) =>
  scope(() => {
    const channels = images.size(0) * images.size(1);
    const values = images.reshape([channels, -1]).to('int64');
    const offsets = aten.arange(channels, 'int64', null, images.device).mul(256).view([-1, 1]);
    const counts = aten.bincount(values.add(offsets).flatten(), null, channels * 256).view([channels, 256]);
    const brightest = counts.gather(1, values.amax(1, true));
    const step = floorDiv(counts.sum(1, true).sub(brightest), 255);
    const divisor = step.clamp({ min: 1 });
    const after = floorDiv(counts.cumsum(1).add(floorDiv(step, 2)), divisor).clamp({ max: 255 });
    // The table of a value is what the values below it come to.
    const table = aten.cat([after.narrow(1, 0, 1).mul(0), after.narrow(1, 0, 255)], 1);
    const equal = table.gather(1, values).where(step.gt(0), values);
    return equal.to(images.dtype).view(images.shape);
  });

const floorDiv = (a: Tensor, b: Tensor | number): Tensor =>
  typeof b === 'number' ? aten.div$Scalar_mode(a, b, 'floor') : aten.div$Tensor_mode(a, b, 'floor');

/** By shears to the side, as shares of the height, about the left upper corner; what comes in is black. */
export const shearX: ByteOperator = (images, shears) => sheared(images, shears, (shear) => [1, shear, 0, 1]);

/** By shears downward, as shares of the width, about the left upper corner. */
export const shearY: ByteOperator = (images, shears) => sheared(images, shears, (shear) => [1, 0, shear, 1]);

function sheared(
  images: Tensor,
  shears: readonly number[],
  matrixOf: (shear: number) => [number, number, number, number],
): Tensor {
  const [, , height = 0, width = 0] = images.shape;
  const [x, y] = [-width / 2, -height / 2];
  return warped(
    images,
    shears.map((shear) => {
      const [a, b, c, d] = matrixOf(shear);
      return [a, b, a * -x + b * -y + x, c, d, c * -x + d * -y + y];
    }),
  );
}

/** To the right, by whole pixels. */
export const translateX: ByteOperator = (images, pixels) =>
  warped(
    images,
    pixels.map((shift) => [1, 0, -Math.trunc(shift), 0, 1, 0]),
  );

/** Downward, by whole pixels. */
export const translateY: ByteOperator = (images, pixels) =>
  warped(
    images,
    pixels.map((shift) => [1, 0, 0, 0, 1, -Math.trunc(shift)]),
  );

/** Against the clock, in degrees, about the centre. */
export const rotate: ByteOperator = (images, degrees) =>
  warped(
    images,
    degrees.map((angle) => {
      const turn = (-angle * Math.PI) / 180;
      const [cos, sin] = [Math.cos(turn), Math.sin(turn)];
      return [cos, sin, 0, -sin, cos, 0];
    }),
  );

/** By row-major 2×3 matrices from points of the result to those of the image, in pixels from the centre; the nearest is read. */
function warped(images: Tensor, matrices: readonly (readonly number[])[]): Tensor {
  return scope(() => {
    const { device } = images;
    const [batch = 0, , height = 0, width = 0] = images.shape;
    const matrix = tensor(Float32Array.from(matrices.flat()), { shape: [batch, 2, 3] });
    const half = tensor(Float32Array.of(width / 2, height / 2)).view([1, 1, 2]);
    const centres = (side: number) => linspace((1 - side) / 2, (side - 1) / 2, side);
    const points = stack(
      [
        centres(width).view([1, width]).expand([height, width]),
        centres(height).view([height, 1]).expand([height, width]),
        ones([height, width]),
      ],
      -1,
    );
    const grid = points
      .view([1, height * width, 3])
      .expand([batch, height * width, 3])
      .matmul(matrix.transpose(1, 2).div(half))
      .view([batch, height, width, 2]);
    return F.gridSample(images, grid.to({ device }), { mode: 'nearest' });
  });
}
