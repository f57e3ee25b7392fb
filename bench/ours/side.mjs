// One side of a benchmark: prepared once, it does its work whenever the harness says so.
import { createInterface } from 'node:readline';
import { keepFreedMemory, setNumThreads } from '@conquer-dml/torch';

const THREADS = 2;

const answer = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

/** The most memory this process has held, in bytes. */
export const peakMemory = () => process.resourceUsage().maxRSS * 1024;

/** Memory this process holds now, in bytes. */
export const memory = () => process.memoryUsage.rss();

/** Of the processor, that this process has taken on all of its threads: the measure where others keep the machine busy. */
export const processorSeconds = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};

/** `--data FILE --workers 2` → { data: 'FILE', workers: '2' } */
export function sideArguments() {
  const given = process.argv.slice(2);
  return Object.fromEntries(
    given.flatMap((word, i) => (word.startsWith('--') ? [[word.slice(2), given[i + 1]]] : [])),
  );
}

/**
 * Answers each line `run` with the time that `work` took and whatever it returns (an object; `seconds` in it
 * replaces the measured time).
 * @param {() => unknown} work what is measured; everything else happened before
 */
export async function serve(work, { threads = THREADS } = {}) {
  // As the command line does.
  keepFreedMemory();
  setNumThreads(threads);
  answer({ ready: true });
  for await (const line of createInterface({ input: process.stdin })) {
    if (line.trim() !== 'run') continue;
    const start = performance.now();
    const extras = await work();
    answer({ seconds: (performance.now() - start) / 1000, ...extras });
  }
}
