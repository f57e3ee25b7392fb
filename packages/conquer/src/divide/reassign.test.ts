import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { reassignClusters } from './reassign.js';

interface PeerCase {
  numClusters: number;
  previous: number[];
  current: number[];
  costs: number[];
  total: number;
}
const peers: PeerCase[] = JSON.parse(
  readFileSync(fileURLToPath(new URL('../../test/fixtures/peers.json', import.meta.url)), 'utf8'),
).assignment;

/** Σ over the clusters of |new ∪ old| - |new ∩ old| for clusters of one number. */
function totalCost(previous: number[], clusters: Int32Array): number {
  return previous.reduce((n, old, i) => n + (clusters[i] === old ? 0 : 2), 0);
}

describe('reassignClusters', () => {
  it('is as good as the optimal assignment of SciPy, with its costs', () => {
    for (const peer of peers) {
      const current = Int32Array.from(peer.current);
      const { clusters, costs } = reassignClusters(Int32Array.from(peer.previous), current, peer.numClusters);
      expect([...costs]).toEqual(peer.costs);
      expect(totalCost(peer.previous, clusters)).toBe(peer.total);
    }
  });

  it('undoes a renaming, and keeps images in no cluster there', () => {
    const previous = Int32Array.of(0, 0, 1, 1, 2, 2, -1, 0);
    const current = Int32Array.of(1, 1, 2, 2, 0, 0, 2, -1);
    const { clusters } = reassignClusters(previous, current, 3);
    expect([...clusters]).toEqual([0, 0, 1, 1, 2, 2, 1, -1]);
    const compatible = reassignClusters(previous, current, 3, { compat: 'dcesml' }).clusters;
    expect([...compatible]).not.toEqual([...clusters]);
  });

  it('refuses different numbers of images', () => {
    expect(() => reassignClusters(Int32Array.of(0), Int32Array.of(0, 1), 2)).toThrow(/1, 2/);
  });
});
