import { aten, scope, type Tensor, tensor } from '@conquer/torch';

// Colour operations on float images (B, 3, H, W) with values in [0, 1], with a factor for each image (B, 1, 1, 1).
// The definitions are torchvision's (torchvision.transforms.functional); results are clamped to [0, 1].

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
    const [red, green, blue] = [0, 1, 2].map((channel) => images.narrow(1, channel, 1)) as [
      Tensor,
      Tensor,
      Tensor,
    ];
    return red.mul(0.2989).add_(green.mul(0.587)).add_(blue.mul(0.114));
  });
}

/** factor · image */
export function adjustBrightness(images: Tensor, factors: Tensor): Tensor {
  return scope(() => images.mul(factors).clamp_({ min: 0, max: 1 }));
}

/** factor · image + (1 - factor) · mean luminance of the image */
export function adjustContrast(images: Tensor, factors: Tensor): Tensor {
  return scope(() => blend(images, luminance(images).mean([1, 2, 3], true), factors));
}

/** factor · image + (1 - factor) · luminance of the pixel */
export function adjustSaturation(images: Tensor, factors: Tensor): Tensor {
  return scope(() => blend(images, luminance(images), factors));
}

function blend(images: Tensor, other: Tensor, factors: Tensor): Tensor {
  return images.sub(other).mul_(factors).add_(other).clamp_({ min: 0, max: 1 });
}

/**
 * Turns the hue by `turns` of the colour circle, in HSV. With hue h in sixths of the circle, value v and chroma c,
 * a channel is v - c · clamp(2 - |(n + h) mod 6 - 2|, 0, 1), n = 5, 3, 1 for red, green, blue.
 */
export function adjustHue(images: Tensor, turns: Tensor): Tensor {
  return scope(() => {
    const [red, green, blue] = [0, 1, 2].map((channel) => images.narrow(1, channel, 1)) as [
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
    const hue = fromRed.where(value.eq(red), fromGreen.where(value.eq(green), fromBlue));
    const offsets = tensor([5, 3, 1]).view([1, 3, 1, 1]).to({ dtype: images.dtype, device: images.device });
    const position = hue.add_(turns.mul(6)).add(offsets);
    const wrapped = position.sub(aten.floor_(position.div(6)).mul_(6));
    const share = aten.abs_(wrapped.sub_(2)).mul_(-1).add_(2).clamp_({ min: 0, max: 1 });
    return value.sub(chroma.mul(share)).clamp_({ min: 0, max: 1 });
  });
}
