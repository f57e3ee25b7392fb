import { noGrad } from './autograd.js';
import { native } from './binding.js';
import { tensor } from './creation.js';
import { attempt } from './error.js';
import { scope } from './scope.js';
import { aten, Tensor } from './tensor.js';

/**
 * Pixels as files hold them to images as networks take them, on the pixels' device; torchvision's to_tensor for a batch.
 *
 * @param pixels uint8 (B, H, W, 3)
 * @returns float32 (B, 3, H, W) in [0, 1]; it belongs to the caller
 * @throws Error for another shape or dtype
 */
export function imagesFromPixels(pixels: Tensor): Tensor {
  const { shape, dtype, device } = pixels;
  if (shape.length !== 4 || shape[3] !== 3 || dtype !== 'uint8')
    throw new Error(`expected pixels of uint8 (B, H, W, 3), got ${dtype} (${shape.join(', ')})`);
  return noGrad(() =>
    scope(() => {
      if (device === 'cpu')
        return new Tensor(
          attempt('imagesFromPixels', () => native.imagesFromPixels(pixels.contiguous().handle)),
        );
      // Reordered as bytes, which is faster than reordering floats.
      return pixels.permute([0, 3, 1, 2]).contiguous().to('float32').div_(255);
    }),
  );
}

/**
 * Mixes the colours of each image by a matrix of its own: every pixel x becomes M·x + k, clamped to [0, 1]. Without
 * gradients.
 *
 * @param images float (B, 3, H, W)
 * @param matrices (B × 12), the rows of [M k], 3×4 an image
 * @returns (B, 3, H, W) on the images' device; it belongs to the caller
 * @throws Error for other shapes
 */
export function mixColors(images: Tensor, matrices: Float32Array): Tensor {
  const { shape, dtype, device } = images;
  const [batch = 0, channels, height = 0, width = 0] = shape;
  if (shape.length !== 4 || channels !== 3 || matrices.length !== batch * 12)
    throw new Error(
      `expected images (B, 3, H, W) and 12 numbers for each, got (${shape.join(', ')}) and ${matrices.length} numbers`,
    );
  return noGrad(() =>
    scope(() => {
      // One pass on one thread for small batches: as operators it is four, each of which wakes all threads.
      if (device === 'cpu' && dtype === 'float32')
        return new Tensor(attempt('mixColors', () => native.mixColors(images.contiguous().handle, matrices)));
      const all = tensor(matrices, { shape: [batch, 3, 4] }).to({ dtype, device });
      const pixels = images.reshape([batch, 3, height * width]);
      const mixed = aten.baddbmm(all.narrow(2, 3, 1), all.narrow(2, 0, 3), pixels);
      return mixed.clamp_({ min: 0, max: 1 }).view([batch, 3, height, width]);
    }),
  );
}
