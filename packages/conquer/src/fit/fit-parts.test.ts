import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { tensor, zeros } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { chooseHead, whetherNetworkPays } from './choose-head.js';
import { splitClasses } from './class-splits.js';
import { FeatureFiles } from './feature-files.js';
import type { HeadResult } from './fit-report.js';

describe('class splits', () => {
  it.each([6, 7, 8, 9, 40, 81])('share %i classes out, none twice', (count) => {
    const classes = Int32Array.from({ length: count }, (_, i) => 3 * i);
    const { fitted, validation, test } = splitClasses(classes, 2);
    expect([...fitted, ...validation, ...test].sort((a, b) => a - b)).toEqual([...classes]);
    for (const part of [fitted, validation, test]) expect(part.length).toBeGreaterThanOrEqual(2);
    if (count >= 8) expect(test.length).toBe(Math.floor(count / 2));
    expect(splitClasses(classes, 2)).toEqual({ seed: 2, fitted, validation, test });
    expect(splitClasses(classes, 3).test).not.toEqual(test);
  });

  it('wants six', () => {
    expect(() => splitClasses(Int32Array.of(1, 2, 3, 4, 5), 0)).toThrow(/at least 6 classes .* got 5/);
  });
});

describe('the choice', () => {
  const scored = (name: string, validation: number[], test: number[]): HeadResult => {
    const scores = (values: number[]) => values.map((mapAtR) => ({ recallAt1: 1, mapAtR }));
    return { name, validation: scores(validation), test: scores(test), epochs: [1, 1, 1] };
  };
  const frozen = scored('frozen', [0.3, 0.4, 0.5], [0.3, 0.3, 0.3]);

  it('goes by held-out classes alone', () => {
    const held = scored('held', [0.4, 0.5, 0.6], [0.1, 0.1, 0.1]);
    const tested = scored('tested', [0.35, 0.45, 0.55], [0.9, 0.9, 0.9]);
    expect(chooseHead(frozen, [held, tested])).toBe('held');
  });

  it('is none where no head is above the frozen network by its error', () => {
    expect(chooseHead(frozen, [scored('worse', [0.2, 0.4, 0.5], [1, 1, 1])])).toBeNull();
    expect(chooseHead(frozen, [scored('noise', [0.5, 0.3, 0.48], [1, 1, 1])])).toBeNull();
    expect(chooseHead(frozen, [])).toBeNull();
  });

  it('of training the network goes by the last doubling of classes', () => {
    const curve = (half: number[], all: number[]) => [
      { classes: 10, mapAtR: half },
      { classes: 20, mapAtR: all },
    ];
    expect(whetherNetworkPays(frozen, curve([0.4, 0.41, 0.4], [0.5, 0.5, 0.51]))).toBe('likely');
    expect(whetherNetworkPays(frozen, curve([0.5, 0.5, 0.5], [0.5, 0.5, 0.5]))).toBe('unlikely');
    expect(whetherNetworkPays(frozen, curve([0.2, 0.5, 0.4], [0.5, 0.4, 0.5]))).toBe('open');
    expect(whetherNetworkPays(frozen, [])).toBe('open');
  });
});

describe('kept features', () => {
  it('are found by hash, and not of another network, from a damaged file, or twice', () => {
    const folder = temporaryFolder();
    const files = new FeatureFiles(folder, { id: 'a' }, 2);
    const [one, two] = ['11'.repeat(32), '22'.repeat(32)];
    using rows = tensor([
      [1, 2],
      [3, 4],
    ]);
    files.add([one, two], rows);
    using into = zeros([2, 2]);
    expect(files.read(new Map([[two, 0]]), into)).toEqual(new Set([two]));
    expect(into.tolist()).toEqual([
      [3, 4],
      [0, 0],
    ]);
    expect(new FeatureFiles(folder, { id: 'b' }, 2).read(new Map([[two, 0]]), into).size).toBe(0);
    const [file = ''] = readdirSync(files.folder);
    const bytes = readFileSync(join(files.folder, file));
    bytes[bytes.length - 1]! ^= 1;
    writeFileSync(join(files.folder, file), bytes);
    expect(files.read(new Map([[two, 0]]), into).size).toBe(0);
  });
});
