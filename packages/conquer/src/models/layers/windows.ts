import { type Tensor, tensor } from '@conquer-dml/torch';

type Pair = readonly [number, number];

/** Maps (B, H, W, C) of whole windows to the windows' tokens (B · windows, h · w, C). */
export function windowsOf(x: Tensor, [h, w]: Pair): Tensor {
  const [batch = 0, height = 0, width = 0, channels = 0] = x.shape;
  return x
    .reshape([batch, height / h, h, width / w, w, channels])
    .permute([0, 1, 3, 2, 4, 5])
    .reshape([-1, h * w, channels]);
}

/** What `windowsOf` made of maps of this shape, (B, H, W, C) again. */
export function withoutWindows(
  windows: Tensor,
  [batch, height, width, channels]: readonly [number, number, number, number],
  [h, w]: Pair,
): Tensor {
  return windows
    .reshape([batch, height / h, width / w, h, w, channels])
    .permute([0, 1, 3, 2, 4, 5])
    .reshape([batch, height, width, channels]);
}

/** What two tokens of a window have added to their score that lie at opposite ends of the image. */
const APART = -100;

/**
 * (windows, N, N): 0 where both tokens of a window of maps that were shifted around lie in one part of the image.
 *
 * @param like of whose dtype and device the mask is to be
 */
export function shiftMask(
  [height, width]: readonly [number, number],
  [h, w]: Pair,
  [down, across]: Pair,
  like: Tensor,
): Tensor {
  // From the front: what stays in its window, what is beside the seam, and what came around.
  const part = (at: number, side: number, window: number, shift: number) =>
    at < side - window ? 0 : at < side - shift ? 1 : 2;
  const tokens = h * w;
  const windows = (height / h) * (width / w);
  const values = new Float64Array(windows * tokens * tokens);
  for (let window = 0; window < windows; window++) {
    const top = Math.floor(window / (width / w)) * h;
    const left = (window % (width / w)) * w;
    const parts = Array.from({ length: tokens }, (_, i) => {
      const row = part(top + Math.floor(i / w), height, h, down);
      const column = part(left + (i % w), width, w, across);
      return 3 * row + column;
    });
    for (let a = 0; a < tokens; a++)
      for (let b = 0; b < tokens; b++)
        if (parts[a] !== parts[b]) values[(window * tokens + a) * tokens + b] = APART;
  }
  const { dtype, device } = like;
  return tensor(values, { shape: [windows, tokens, tokens], dtype, device });
}
