import { blend, cssColour, rgb } from './colours.js';

/** Draws a matrix into a canvas, a pixel a value: 0 in the page's low colour, `most` in the high one. */
export function drawHeatMap(
  canvas: HTMLCanvasElement,
  rows: readonly (readonly number[])[],
  most: number,
): void {
  const [height, width] = [rows.length, rows[0]?.length ?? 0];
  const context = canvas.getContext('2d');
  if (!context || height === 0 || width === 0) return;
  canvas.width = width;
  canvas.height = height;
  const [low, high] = [rgb(cssColour('--heat-low')), rgb(cssColour('--heat-high'))];
  const image = context.createImageData(width, height);
  for (const [y, row] of rows.entries()) {
    for (const [x, value] of row.entries()) {
      const { r, g, b } = blend(low, high, most > 0 ? value / most : 0);
      image.data.set([r, g, b, 255], 4 * (y * width + x));
    }
  }
  context.putImageData(image, 0, 0);
}

/** The dimensions by the learner that uses them most, and by how much, so that what learners share is seen. */
export function byStrongestLearner(masks: readonly (readonly number[])[]): number[] {
  const dims = Array.from(masks[0] ?? [], (_, d) => d);
  const strongest = dims.map((d) => {
    let best = 0;
    for (const [k, mask] of masks.entries()) if ((mask[d] ?? 0) > (masks[best]?.[d] ?? 0)) best = k;
    return best;
  });
  const value = (d: number) => masks[strongest[d] ?? 0]?.[d] ?? 0;
  return dims.sort((a, b) => (strongest[a] ?? 0) - (strongest[b] ?? 0) || value(b) - value(a) || a - b);
}
