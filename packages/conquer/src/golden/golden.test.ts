import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { FLOAT64 } from './check.js';
import { goldenFiles } from './files.js';

const folder = fileURLToPath(new URL('../../test/fixtures/golden', import.meta.url));
const fixture = (name: string): unknown => JSON.parse(readFileSync(join(folder, name), 'utf8'));

// Whole networks take long: networks.slow.test.ts holds them.
const slow = ['architectures.json', 'backbones-real-weights.json', 'training-trajectory.json'];

describe('numbers of the original implementations', () => {
  for (const [name, check] of Object.entries(goldenFiles).filter(([file]) => !slow.includes(file))) {
    it(`agree in float64: ${name}`, async () => {
      const result = await check(fixture(name), FLOAT64, folder);
      expect(result.failures).toEqual([]);
      expect([...result.notYet]).toEqual([]);
      expect(result.cases).toBeGreaterThan(0);
      expect(result.worst).toBeLessThan(1e-9);
    });
  }

  for (const name of [
    'backbones-hf.json',
    'backbones-hub-hashed.json',
    'backbones-timm.json',
    'camera-aware.json',
    'cross-batch-memory.json',
    'evaluation.json',
    'expansion.json',
    'losses.json',
    'losses-hyperbolic.json',
    'losses-pair.json',
    'losses-proxy.json',
    'losses-rank.json',
    'losses-revisiting-dml.json',
    'metrics-revisiting-dml.json',
    'miners.json',
    'reranking.json',
    'retrieval-metrics.json',
  ]) {
    it(`agree in float32: ${name}`, async () => {
      expect(
        (await goldenFiles[name]?.(fixture(name), { dtype: 'float32', device: 'cpu' }, folder))?.failures,
      ).toEqual([]);
    });
  }
});
