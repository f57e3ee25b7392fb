import { join } from 'node:path';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { liveTensors, nn, noGrad, randn, scope } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { embedImages } from '../evaluate/embed.js';
import { drawnExperiment, drawnRun } from '../testing/saved-run.js';
import { openModel } from './open-model.js';
import type { TrainedModel } from './trained-model.js';

const picture = (seed: number) => ({
  width: 40,
  height: 30,
  data: Uint8Array.from({ length: 40 * 30 * 3 }, (_, i) => (i * seed * 7919) % 251),
});
const pictures = [picture(1), picture(2), picture(3)];

const open = async () => await openModel(drawnRun(join(temporaryFolder(), 'run'), drawnExperiment()));

/** Of the opened network's BatchNorms those that are folded at present. */
const folded = ({ model }: TrainedModel) =>
  [...model.namedModules()].flatMap(([, each]) =>
    each instanceof nn.BatchNorm2d && each.folded.kept !== null ? [each.folded.kept] : [],
  );

it('folds once for its life, bit for bit what is folded at each call, and keeps no more of 200 calls', async () => {
  using model = await open();
  const first = await model.embed(pictures);
  const kept = folded(model);
  expect(kept.length).toBeGreaterThan(3);
  const live = liveTensors();
  for (let i = 0; i < 200; i++) {
    const [alone] = [await model.embed([pictures[i % 3]!])];
    if (i < 3) for (const value of alone) expect(Number.isFinite(value)).toBe(true);
  }
  expect(liveTensors()).toBe(live);
  expect(folded(model)).toEqual(kept);
  for (const [i, each] of folded(model).entries()) expect(each).toBe(kept[i]);
  expect(await model.embed(pictures)).toEqual(first);

  // The network by itself, of which nobody has anything kept.
  using other = await open();
  (other as unknown as { derived: Disposable }).derived[Symbol.dispose]();
  expect(await other.embed(pictures)).toEqual(first);
  expect(folded(other)).toEqual([]);
});

it('uses nothing that was folded before its network was trained', async () => {
  using model = await open();
  const before = await model.embed(pictures);
  const { model: network } = model;
  network.train();
  expect(folded(model)).toEqual([]);
  scope(() => {
    network
      .embed(randn([4, 3, 32, 32]))
      .sum()
      .backward();
    noGrad(() => {
      for (const parameter of network.parameters())
        if (parameter.grad !== null) parameter.sub_(parameter.grad.mul(0.5));
    });
  });
  // Embedding in the middle of training leaves it in training, and what it folds is no longer true after the next step.
  const during = await model.embed(pictures);
  expect(network.training).toBe(true);
  noGrad(() => network.parameters()[0]!.mul_(1.5));
  network.eval();
  const after = await model.embed(pictures);
  expect(during).not.toEqual(before);
  expect(after).not.toEqual(during);

  using fresh = await open();
  fresh.model.loadStateDict(network.stateDict());
  expect(await fresh.embed(pictures)).toEqual(after);
});

it('keeps its folds while others embed with the same network, and frees them with it', async () => {
  const live = liveTensors();
  const model = await open();
  await model.embed(pictures);
  const kept = folded(model);
  async function* batches() {
    yield { images: randn([2, 3, 32, 32]) };
  }
  const together = await Promise.all([
    embedImages(model.model, batches()),
    model.embed(pictures),
    embedImages(model.model, batches()),
    model.atTestTime({ flips: true }).embed(pictures),
  ]);
  expect(together[1]).toEqual(await model.embed(pictures));
  together[0].dispose();
  together[2].dispose();
  for (const [i, each] of folded(model).entries()) expect(each).toBe(kept[i]);
  model.close();
  expect(liveTensors()).toBe(live);
});
