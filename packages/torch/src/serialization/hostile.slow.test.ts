import { expect, it } from 'vitest';
import { fuzzPth, fuzzSafetensors } from '../testing/hostile-files.js';

const INPUTS = 100_000;

it.each([
  ['safetensors', fuzzSafetensors],
  ['.pth', fuzzPth],
])('100,000 damaged %s files end in a result or a clean error', async (_, fuzz) => {
  const report = await fuzz(INPUTS, 20_211);
  expect(report.accepted + report.refused).toBe(INPUTS);
  expect(report.accepted).toBeGreaterThan(1000);
  expect(report.milliseconds).toBeLessThan(2000);
});
