import { expect, it } from 'vitest';
import { fuzzers } from './hostile-inputs.js';

it.each(Object.entries(fuzzers))('damaged %s end in a result or a clean error', async (name, fuzz) => {
  const report = await fuzz(name === 'images' ? 60 : 300, 1);
  expect(report.accepted).toBeGreaterThan(0);
  expect(report.refused).toBeGreaterThan(10);
  expect(report.milliseconds).toBeLessThan(2000);
});
