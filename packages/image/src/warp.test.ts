import { describe, expect, it } from 'vitest';
import { warpImages } from './warp.js';

const identity = [1, 0, 0, 0, 1, 0];
const image = (side: number) => Uint8Array.from({ length: side * side * 3 }, (_, i) => (i * 37) % 251);
async function warp(
  pixels: Uint8Array,
  side: number,
  matrices: number[],
  outSide: number,
  fill: 'border' | number = 'border',
) {
  const out = new Uint8Array((matrices.length / 6) * outSide * outSide * 3).fill(7);
  await warpImages(pixels, { side, matrices: Float32Array.from(matrices), outSide, fill }, out);
  return out;
}

describe('warpImages', () => {
  it('leaves an image as it is, mirrors it, turns it', async () => {
    const pixels = image(5);
    const at = (x: number, y: number) => [...pixels.subarray((y * 5 + x) * 3, (y * 5 + x) * 3 + 3)];
    const each = (read: (x: number, y: number) => number[]) =>
      Uint8Array.from(Array.from({ length: 25 }, (_, i) => read(i % 5, Math.floor(i / 5))).flat());
    expect(await warp(pixels, 5, identity, 5)).toEqual(pixels);
    expect(await warp(pixels, 5, [-1, 0, 0, 0, 1, 0], 5)).toEqual(each((x, y) => at(4 - x, y)));
    expect(await warp(pixels, 5, [0, -1, 0, 1, 0, 0], 5)).toEqual(each((x, y) => at(4 - y, x)));
  });

  it('halves by the mean of four pixels, and doubles between them', async () => {
    const pixels = image(8);
    const sum = (x: number, y: number, channel: number) =>
      [0, 3, 24, 27].reduce((total, at) => total + pixels[(2 * y * 8 + 2 * x) * 3 + at + channel]!, 0);
    const half = await warp(pixels, 8, identity, 4);
    for (let i = 0; i < 48; i++) {
      const [x, y, channel] = [Math.floor(i / 3) % 4, Math.floor(i / 12), i % 3];
      expect(half[i]).toBe(Math.floor(sum(x, y, channel) / 4 + 0.5));
    }
    const two = await warp(Uint8Array.of(0, 0, 0, 100, 100, 100, 0, 0, 0, 100, 100, 100), 2, identity, 4);
    expect([...two.subarray(0, 12)]).toEqual([0, 0, 0, 25, 25, 25, 75, 75, 75, 100, 100, 100]);
  });

  it('fills what lies outside with the border, or a grey, however far it is', async () => {
    const pixels = Uint8Array.from({ length: 4 * 4 * 3 }, () => 200);
    const far = [1, 0, 1e30, 0, 1, -1e30];
    const overflowing = [3e38, 3e38, -3e38, 3e38, -3e38, 3e38];
    expect(new Set(await warp(pixels, 4, overflowing, 4))).toEqual(new Set([200]));
    expect(new Set(await warp(pixels, 4, far, 4))).toEqual(new Set([200]));
    expect(new Set(await warp(pixels, 4, far, 4, 0.2))).toEqual(new Set([51]));
    // Shifted by one pixel: the column beyond the edge is filling.
    const shifted = await warp(pixels, 4, [1, 0, 0.5, 0, 1, 0], 4, 1);
    expect([...shifted.subarray(0, 12)]).toEqual([...new Array(9).fill(200), 255, 255, 255]);
  });

  it('each image along its own matrix', async () => {
    const pixels = image(4);
    const both = Uint8Array.from([...pixels, ...pixels]);
    const out = await warp(both, 4, [...identity, -1, 0, 0, 0, 1, 0], 4);
    expect(out.subarray(0, 48)).toEqual(pixels);
    expect(out.subarray(48)).toEqual(await warp(pixels, 4, [-1, 0, 0, 0, 1, 0], 4));
  });

  it('refuses what does not fit', async () => {
    await expect(warp(image(4), 4, [Number.NaN, 0, 0, 0, 1, 0], 4)).rejects.toThrow(/finite/);
    await expect(warp(image(4), 4, identity, 4, 2)).rejects.toThrow(/from 0 to 1, got 2/);
    await expect(warp(image(4), 5, identity, 4)).rejects.toThrow(/pixels: expected 75 elements, got 48/);
    await expect(warp(image(4), 4, [...identity, 1], 4)).rejects.toThrow(/matrices: expected 6 elements/);
  });
});
