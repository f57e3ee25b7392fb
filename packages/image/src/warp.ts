import { type NativeOptions, native, runNative } from './binding.js';

export interface WarpRequest {
  /** Side of the images, in pixels. */
  side: number;
  /**
   * (B × 6), a row-major 2×3 matrix an image: from a point (x, y) of the output to the point of the image to read, both
   * in [-1, 1]² from edge to edge, as PyTorch's affine_grid takes it with align_corners = false.
   */
  matrices: Float32Array;
  /** Side of the output, in pixels. */
  outSide: number;
  /** What lies outside of an image: its nearest border pixel, or a grey in [0, 1]. */
  fill: 'border' | number;
}

/**
 * Reads images along affine maps (rotation, zoom, shear, shift) by one bilinear sampling, on the addon's threads.
 * There is no antialiasing: below half the size, fine detail flickers.
 *
 * @param pixels B×side×side×3 bytes of RGB
 * @param out B×outSide×outSide×3 bytes
 * @throws RangeError for a matrix that is not finite or a grey outside of [0, 1], TypeError if the sizes do not fit
 */
export async function warpImages(
  pixels: Uint8Array,
  { side, matrices, outSide, fill }: WarpRequest,
  out: Uint8Array,
  options: NativeOptions = {},
): Promise<void> {
  if (!matrices.every(Number.isFinite)) throw new RangeError('expected matrices of finite numbers');
  if (fill !== 'border' && !(fill >= 0 && fill <= 1))
    throw new RangeError(`fill: expected 'border' or a grey from 0 to 1, got ${fill}`);
  const filled = fill === 'border' ? -1 : Math.round(fill * 255);
  await runNative(options, (threads, job) =>
    native.warpImages(pixels, side, matrices, filled, outSide, out, threads, job),
  );
}
