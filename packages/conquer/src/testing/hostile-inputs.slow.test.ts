import { expect, it } from 'vitest';
import { fuzzers } from './hostile-inputs.js';

// `npm run fuzz` reads 100,000 of each; CONQUER_FUZZ=n says how many, CONQUER_FUZZ_SEED=n which.

const INPUTS = Number(process.env.CONQUER_FUZZ ?? 3000);
const SEED = Number(process.env.CONQUER_FUZZ_SEED ?? 20_211);

it.each(Object.entries(fuzzers))(
  `${INPUTS} damaged %s end in a result or a clean error`,
  async (name, fuzz) => {
    const before = process.memoryUsage.rss();
    const start = performance.now();
    const report = await fuzz(INPUTS, SEED);
    const grown = (process.memoryUsage.rss() - before) / 2 ** 20;
    const seconds = ((performance.now() - start) / 1000).toFixed(0);
    const { accepted, refused, milliseconds } = report;
    console.log(
      `${name}: ${accepted} read, ${refused} refused in ${seconds} s; the slowest took ${milliseconds.toFixed(0)} ms, memory grew by ${grown.toFixed(0)} MiB`,
    );
    expect(accepted + refused).toBe(INPUTS);
    expect(Math.min(accepted, refused)).toBeGreaterThan(INPUTS / 500);
    expect(milliseconds).toBeLessThan(2000);
    expect(grown).toBeLessThan(400);
  },
  INPUTS * 50 + 60_000,
);
