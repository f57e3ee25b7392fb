import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { goldenFiles } from './files.js';

// The golden files that run whole networks. Float32 cannot follow a trajectory: Adam's first steps depend on the
// signs of the gradients, and those of the smallest are a matter of rounding.

describe('networks and trainings of the original implementation', () => {
  for (const name of ['architectures.json', 'training-trajectory.json']) {
    it(`agree in float64: ${name}`, async () => {
      const path = fileURLToPath(new URL(`../../test/fixtures/golden/${name}`, import.meta.url));
      const result = await goldenFiles[name]?.(JSON.parse(readFileSync(path, 'utf8')));
      expect(result?.failures).toEqual([]);
      expect(result?.cases).toBe(name === 'architectures.json' ? 3 : 4);
      expect(result?.worst).toBeGreaterThan(0);
      expect(result?.worst).toBeLessThan(1e-9);
    });
  }
});
