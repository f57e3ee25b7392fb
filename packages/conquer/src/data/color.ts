import { aten, scope, type Tensor, tensor } from '@conquer-dml/torch';

// Colour operations in place on float images (B, 3, H, W) with values in [0, 1], with a parameter for each image,
// (B, 1, 1, 1). The definitions are torchvision's (torchvision.transforms.functional); results stay in [0, 1].
// In place, because a pass over a batch costs a fifth of what a new batch costs.

/** A number for each image as a tensor (B, 1, 1, 1) that multiplies `images`. */
export function perImage(values: ArrayLike<number>, images: Tensor): Tensor {
  return tensor(Float32Array.from(values), { shape: [values.length, 1, 1, 1] }).to({
    dtype: images.dtype,
    device: images.device,
  });
}

/** 0.2989 R + 0.587 G + 0.114 B, (B, 1, H, W). */
export function luminance(images: Tensor): Tensor {
  return scope(() => {
    const [red, green, blue] = channels(images);
    return red.mul(0.2989).add_(green.mul(0.587)).add_(blue.mul(0.114));
  });
}

/** factor · image */
export function adjustBrightness_(images: Tensor, factors: Tensor): void {
  images.mul_(factors).clamp_({ min: 0, max: 1 });
}

/** factor · image + (1 - factor) · mean luminance of the image */
export function adjustContrast_(images: Tensor, factors: Tensor): void {
  scope(() => blend_(images, luminance(images).mean([1, 2, 3], true), factors));
}

/** factor · image + (1 - factor) · luminance of the pixel */
export function adjustSaturation_(images: Tensor, factors: Tensor): void {
  scope(() => blend_(images, luminance(images), factors));
}

/** Changes `other` too. */
function blend_(images: Tensor, other: Tensor, factors: Tensor): void {
  images
    .mul_(factors)
    .add_(other.mul_(factors.mul(-1).add_(1)))
    .clamp_({ min: 0, max: 1 });
}

/**
 * Turns the hue by `turns` of the colour circle, in HSV. With hue h in sixths of the circle (0 red, 2 green,
 * 4 blue), value v and chroma c, a channel is v - c · clamp(share, 0, 1), with the shares 2 - |h - 3| for red,
 * |h - 2| - 1 for green and |h - 4| - 1 for blue.
 */
export function adjustHue_(images: Tensor, turns: Tensor): void {
  scope(() => {
    const [red, green, blue] = channels(images).map((channel) => channel.contiguous()) as [
      Tensor,
      Tensor,
      Tensor,
    ];
    const value = red.maximum(green).maximum(blue);
    const chroma = value.sub(red.minimum(green).minimum(blue));
    // Grey has no hue: the numerators are zero there, so that any divisor will do.
    const divisor = chroma.clamp({ min: 1e-12 });
    const fromRed = green.sub(blue).div_(divisor);
    const fromGreen = blue.sub(red).div_(divisor).add_(2);
    const fromBlue = red.sub(green).div_(divisor).add_(4);
    // 0 where the channel is the largest, else 1. Choosing by products: where() takes 1 ms on unpredictable masks.
    const [notRed, notGreen] = [value.sub(red).sign(), value.sub(green).sign()];
    const otherThanRed = fromBlue.sub_(fromGreen).mul_(notGreen).add_(fromGreen);
    const hue = otherThanRed.sub_(fromRed).mul_(notRed).add_(fromRed).add_(turns.mul(6));
    const wrapped = hue.sub(aten.floor_(hue.div(6)).mul_(6));
    const constants = (numbers: number[]) =>
      tensor(numbers).view([1, 3, 1, 1]).to({ dtype: images.dtype, device: images.device });
    aten
      .abs_(aten.sub$out(wrapped, constants([3, 2, 4]), 1, images))
      .mul_(constants([-1, 1, 1]))
      .add_(constants([2, -1, -1]))
      .clamp_({ min: 0, max: 1 })
      .mul_(chroma.mul_(-1))
      .add_(value);
  });
}

function channels(images: Tensor): [red: Tensor, green: Tensor, blue: Tensor] {
  return [images.narrow(1, 0, 1), images.narrow(1, 1, 1), images.narrow(1, 2, 1)];
}
