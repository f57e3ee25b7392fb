import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { RunFolder } from '@conquer-dml/run';
import { program } from '@conquer-dml/testing/program';
import { describeWithPython } from '@conquer-dml/testing/python';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { expect, it } from 'vitest';
import { miniatures } from '../testing/miniatures.js';

const folder = temporaryFolder();

/** What of a recipe a miniature has no room for. */
const smaller = [
  '--arch vit_tiny_patch16_224.augreg_in21k --weights none --image-size 32 --resize 36 --embedding-dim 16',
  '--batch-size 6 --samples-per-class 2 --epochs 2 --lr 1e-3 --threads 1 --allow-partial',
]
  .join(' ')
  .split(' ');

const hyperbolic = {
  model: { tuning: { name: 'full', freezeBelow: 1 } },
  loss: { name: 'hyperbolic-pairwise' },
  optimize: { optimizer: { name: 'adamw' }, clipNorm: 3, weightDecay: 0.01 },
};
/** What each is of, which a miniature's flags leave as it is. */
const settings: Record<string, object> = {
  sop: {
    data: { sampler: { name: 'hierarchical', categoriesPerBatch: 3 } },
    model: { embeddingInit: { kind: 'identity' } },
    loss: { name: 'triplet', margin: 0.15, averageNonZeroOnly: false },
    miner: { name: 'batch-hard' },
    optimize: { optimizer: { name: 'adam' }, weightDecay: 0 },
  },
  inshop: hyperbolic,
  cub: hyperbolic,
  cars: hyperbolic,
};

describeWithPython('the recipes of ViT-S on miniatures', ['scipy', 'numpy'], () => {
  it.each(Object.keys(settings))('vits-dino-%s trains, and is evaluated as the run it is', async (name) => {
    const at = `data-${name}`;
    await miniatures[name]?.(folder, at);
    const asked = ['train', '--recipe', `vits-dino-${name}`, '--dataset-dir', at, ...smaller, '--name', name];
    const conquer = (...args: string[]) =>
      spawnSync(process.execPath, [program, ...args], { cwd: folder, encoding: 'utf8' });
    const { status, stderr } = conquer(...asked);
    expect([status, stderr]).toEqual([0, expect.any(String)]);
    const run = RunFolder.open(join(folder, 'runs', name));
    expect(run.experiment()).toMatchObject(settings[name]!);
    const { last } = run.summary()!;
    const evaluated = conquer('eval', `runs/${name}`, '--checkpoint', 'last', '--json');
    expect(evaluated.status, evaluated.stderr).toBe(0);
    expect(JSON.parse(evaluated.stdout).metrics['R@1']).toBeCloseTo(last!.metrics['R@1']!, 6);
  });
});
