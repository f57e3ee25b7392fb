import { liveTensors, manualSeed, randn } from '@conquer/torch';
import { expect, it } from 'vitest';
import { Interrupted } from '../interrupted.js';
import { Random } from '../random.js';
import { kMeans, kMeansSteps } from './kmeans.js';
import { allNeighbours, nearestNeighbours } from './nearest.js';
import { withPauses } from './steps.js';

it('come to the same with pauses, whatever others do in them', async () => {
  manualSeed(1);
  using x = randn([4000, 16]);
  using wanted = kMeans(x, 40, { random: new Random(2) }).centroids;
  const before = liveTensors();
  const steps = kMeansSteps(x, 40, { random: new Random(2) });
  // Another's tensors between two steps stay that one's.
  const others = [];
  for (let i = 0; i < 10 && !steps.next().done; i++) others.push(randn([2]));
  using found = (await withPauses(steps)).centroids;
  expect(found.tolist()).toEqual(wanted.tolist());
  for (const other of others) expect(other.shape).toEqual([2]);
  for (const other of others) other.dispose();
  const neighbours = await withPauses(allNeighbours(x, null, 5));
  expect(neighbours).toEqual(nearestNeighbours(x, null, 5));
  expect(liveTensors()).toBe(before + 1);
});

it('end soon after the signal, and free what they held', async () => {
  manualSeed(1);
  using x = randn([30_000, 128]);
  const before = liveTensors();
  for (const work of [
    () => kMeansSteps(x, 4000, { random: new Random(2) }),
    () => allNeighbours(x, null, 500),
  ]) {
    const abort = new AbortController();
    let stopped = 0;
    setTimeout(() => {
      stopped = performance.now();
      abort.abort();
    }, 200);
    await expect(withPauses<unknown>(work(), abort.signal)).rejects.toThrow(Interrupted);
    expect(stopped).toBeGreaterThan(0);
    expect(performance.now() - stopped).toBeLessThan(4000);
    expect(liveTensors()).toBe(before);
  }
});
