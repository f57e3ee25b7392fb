import fc from 'fast-check';
import { Mutations } from './mutations.js';

/** What became of the inputs of a fuzzing run. */
export interface FuzzReport {
  accepted: number;
  refused: number;
  /** Of processor time, for the slowest input: the other processes of a busy machine do not count. */
  milliseconds: number;
}

/** What reading an input may take of JavaScript's heap and buffers: ten times its bytes, and what any reading takes. */
const MOST_TIMES = 10;
const MOST_BESIDES = 4 << 20;

function memory(): number {
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

export interface FuzzOptions {
  inputs: number;
  /** Whatever is drawn is drawn from this. */
  seed: number;
  /** A damaged input. */
  next: (mutations: Mutations) => Uint8Array;
  /** Reads it; `input` counts from 0. */
  read: (bytes: Uint8Array, input: number) => unknown;
  /** Whether an error is one that says what is wrong with the input. Its message must be one line. */
  isClean: (error: unknown) => boolean;
  /** Called after each input, to look for what it left behind. Throws. */
  check?: () => void;
}

/**
 * Reads damaged inputs one after the other. The property that is tested: each ends in a result or in a clean error, and
 * takes no more memory than ten times its own.
 *
 * @throws where one does not, with the seed and with the input, after fast-check has made what was drawn for it smaller
 */
export async function fuzz({ inputs, seed, next, read, isClean, check }: FuzzOptions): Promise<FuzzReport> {
  const report: FuzzReport = { accepted: 0, refused: 0, milliseconds: 0 };
  let input = 0;
  const property = fc.asyncProperty(fc.gen(), async (draw) => {
    const bytes = next(new Mutations((n) => draw(fc.nat, { max: n - 1 })));
    const before = memory();
    const start = process.cpuUsage();
    try {
      const reading = read(bytes, input++);
      if (reading instanceof Promise) await reading;
      report.accepted++;
    } catch (error) {
      const oneLine = error instanceof Error && !error.message.includes('\n');
      if (!oneLine || !isClean(error)) {
        const text = Buffer.from(bytes).toString('base64');
        throw new Error(`an input did not end in a clean error: ${text}`, { cause: error });
      }
      report.refused++;
    }
    const { user, system } = process.cpuUsage(start);
    const taken = memory() - before;
    if (taken > MOST_TIMES * bytes.length + MOST_BESIDES) {
      const text = Buffer.from(bytes).toString('base64');
      throw new Error(`an input of ${bytes.length} bytes took ${taken} of memory: ${text}`);
    }
    report.milliseconds = Math.max(report.milliseconds, (user + system) / 1000);
    check?.();
  });
  await fc.assert(property, { numRuns: inputs, seed, includeErrorInReport: true });
  return report;
}
