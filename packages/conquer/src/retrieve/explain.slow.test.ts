import { discSvg } from '@conquer-dml/testing/pictures';
import { liveTensors } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { BUILT_IN } from '../models/weights/built-in.js';
import { explain } from './explain.js';
import { openModel } from './open-model.js';

const disc = new TextEncoder().encode(
  discSvg({ width: 320, height: 240, x: 160, y: 120, r: 60, fill: 'red' }),
);

describe('explain', () => {
  it('finds the part that two images have in common, and frees all', async () => {
    const before = liveTensors();
    const model = await openModel(BUILT_IN);
    const row = await model.embed([disc]);
    const { parts, seen } = await explain(model, disc, row, { grid: 5 });
    expect(parts.map(({ length }) => length)).toEqual([5, 5, 5, 5, 5]);
    const most = parts.flat().indexOf(Math.max(...parts.flat()));
    expect([Math.floor(most / 5), most % 5]).toEqual([2, 2]);
    expect(parts[2]![2]!).toBeGreaterThan(5 * Math.abs(parts[0]![0]!));
    expect(seen.height).toBeCloseTo(0.875, 6);
    expect(seen.width).toBeCloseTo((0.875 * 240) / 320, 6);
    model.close();
    expect(liveTensors()).toBe(before);
  });

  it('refuses other rows and grids', async () => {
    const model = await openModel(BUILT_IN);
    await expect(explain(model, disc, new Float32Array(3))).rejects.toThrow(
      /expected an embedding of 1280 numbers, got 3/,
    );
    const row = new Float32Array(1280);
    await expect(explain(model, disc, row, { grid: 1 })).rejects.toThrow(/expected a grid of 2 to 32/);
    model.close();
  });
});
