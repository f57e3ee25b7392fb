import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Summary } from '@conquer-dml/run';
import { program } from '@conquer-dml/testing/program';
import { describeWithPython } from '@conquer-dml/testing/python';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { expect, it } from 'vitest';
import { miniatures } from '../testing/miniatures.js';

const folder = temporaryFolder();

function conquer(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
    cwd: folder,
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

const settings = [
  '--arch small-resnet --widths 8,16 --bn trained --embedding-dim 16 --image-size 32 --resize 36 --epochs 1',
  '--batch-size 6 --samples-per-class 2 --num-learners 2 --start-learners 2 --lr 1e-3 --threads 1',
]
  .join(' ')
  .split(' ');

describeWithPython('one epoch through the command line', ['scipy', 'numpy'], () => {
  it.each<[dataset: string, recallAt: number[], whatIsMissing: RegExp, described: string[]]>([
    [
      'cub',
      [1, 2, 4, 8],
      /expected 5,864 training images, found 12; 5,924 test/,
      ['test: 12 images of 3 classes'],
    ],
    ['cars', [1, 2, 4, 8], /8,054 annotated training images, found 12/, ['test: 12 images of 3 classes']],
    ['sop', [1, 10, 100, 1000], /59,551 training images, found 12/, ['test: 12 images of 3 classes']],
    [
      'inshop',
      [1, 10, 20, 30, 50],
      /25,882 training images, found 12; 14,218 queries, found 3; 12,612 gallery images, found 9/,
      ['query: 3 images of 3 classes', 'gallery: 9 images of 3 classes'],
    ],
    [
      'vid',
      [1, 5],
      /800 vehicles in test_list_800.txt, found 2/,
      ['small: 8 images of 2', 'medium: 8 images of 2', 'large: 12 images of 3'],
    ],
    ['csv', [1, 2, 4, 8], /^$/, ['query: 6 images of 3 classes', 'gallery: 6 images of 3 classes']],
  ])('%s', async (name, recallAt, whatIsMissing, described) => {
    const at = `data-${name}`;
    await miniatures[name]?.(folder, at);
    const asked = ['train', '--dataset', name, '--dataset-dir', at, ...settings, '--name', name];
    if (name !== 'csv') {
      const refused = conquer(...asked);
      expect([refused.status, refused.stderr.trim().split('\n').at(-1)]).toEqual([
        2,
        expect.stringMatching(whatIsMissing),
      ]);
      expect(refused.stderr).toMatch(
        /--allow-partial: .*\(this option takes what is there\); the data are at https:\/\//,
      );
    }
    const dry = conquer(...asked, '--allow-partial', '--dry-run');
    expect([dry.status, dry.stderr.includes('warning: ')]).toEqual([0, name !== 'csv']);
    for (const line of ['train: 12 images of 3 classes', ...described]) expect(dry.stdout).toContain(line);

    const trained = conquer(...asked, '--allow-partial');
    expect([trained.status, trained.stderr]).toEqual([0, expect.stringContaining('divided into 2 clusters')]);
    for (const k of recallAt) expect(trained.stdout).toContain(`R@${k} `);

    const evaluated = conquer('eval', `runs/${name}`, '--json');
    expect(evaluated.status, evaluated.stderr).toBe(0);
    const { metrics, testSets } = JSON.parse(evaluated.stdout);
    expect(Object.keys(metrics).filter((key) => /^R@\d+$/.test(key))).toEqual(recallAt.map((k) => `R@${k}`));
    expect(Object.keys(testSets ?? {})).toEqual(name === 'vid' ? ['small', 'medium', 'large'] : []);
    if (name === 'vid') expect(testSets.large).toEqual(metrics);
    const summary = JSON.parse(readFileSync(join(folder, 'runs', name, 'summary.json'), 'utf8')) as Summary;
    for (const k of recallAt) expect(metrics[`R@${k}`]).toBeCloseTo(summary.last?.metrics[`R@${k}`] ?? -1, 6);
    // Each class has so few images that a gallery's or a test set's last k finds one wherever it is.
    expect(metrics[`R@${recallAt.at(-1)}`]).toBeGreaterThan(0.6);
    expect(metrics['R@1']).toBeGreaterThan(0.3);
  });
});
