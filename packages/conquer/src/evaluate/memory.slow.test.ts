import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

// As it is built, in a process of its own, whose highest resident memory the kernel keeps: VmHWM, set back
// to the present by writing 5 to clear_refs.

const ROWS = 60_000;
const WIDTH = 512;
const CLASSES = 11_000;

const program = `
import { readFileSync, writeFileSync } from 'node:fs';
const { manualSeed, randn, setNumThreads } = await import(process.argv[1]);
const { evaluateEmbeddings } = await import(process.argv[2]);
setNumThreads(2);
manualSeed(1);
const of = (name) => Number(new RegExp(name + ':\\\\s+(\\\\d+) kB').exec(readFileSync('/proc/self/status', 'utf8'))[1]) / 2 ** 20;
const labels = Int32Array.from({ length: ${ROWS} }, (_, i) => i % ${CLASSES});
const embeddings = randn([${ROWS}, ${WIDTH}]);
writeFileSync('/proc/self/clear_refs', '5');
const before = of('VmRSS');
const start = performance.now();
const metrics = evaluateEmbeddings(embeddings, labels, { recallAt: [1, 10, 100, 1000], nmi: { seeds: [0], maxIterations: 1 } });
const seconds = (performance.now() - start) / 1000;
console.log(JSON.stringify({ before, peak: of('VmHWM'), seconds, metrics }));
`;

it('60,000 × 512: recall, MAP@R and NMI take less than 1.5 GiB beyond the embeddings', () => {
  const dist = (path: string) => fileURLToPath(new URL(path, import.meta.url));
  const modules = [dist('../../../torch/dist/index.js'), dist('../../dist/evaluate/evaluate.js')];
  const args = ['--input-type=module', '-e', program, ...modules];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    encoding: 'utf8',
    env: { ...process.env, OMP_WAIT_POLICY: 'passive' },
  });
  expect(status, stderr).toBe(0);
  const { before, peak, seconds, metrics } = JSON.parse(stdout) as {
    before: number;
    peak: number;
    seconds: number;
    metrics: Record<string, number>;
  };
  console.log(`${(peak - before).toFixed(2)} GiB above ${before.toFixed(2)} GiB, in ${seconds.toFixed(0)} s`);
  expect(Object.keys(metrics)).toEqual(expect.arrayContaining(['R@1', 'R@1000', 'MAP@R', 'NMI']));
  expect(before).toBeGreaterThan((ROWS * WIDTH * 4) / 2 ** 30);
  // The neighbours' candidates alone are some hundred MiB: less would mean that nothing was measured.
  expect(peak - before).toBeGreaterThan(0.2);
  expect(peak - before).toBeLessThan(1.5);
}, 900_000);

it('a search keeps no second copy of its gallery', () => {
  const dist = (path: string) => fileURLToPath(new URL(path, import.meta.url));
  const wide = `
import { readFileSync, writeFileSync } from 'node:fs';
const { manualSeed, randn, setNumThreads } = await import(process.argv[1]);
const { eachNeighbourBlock } = await import(process.argv[2]);
setNumThreads(2);
manualSeed(1);
const of = (name) => Number(new RegExp(name + ':\\\\s+(\\\\d+) kB').exec(readFileSync('/proc/self/status', 'utf8'))[1]) / 2 ** 20;
const gallery = randn([200000, 384]);
const queries = gallery.narrow(0, 0, 4096);
writeFileSync('/proc/self/clear_refs', '5');
const before = of('VmRSS');
let [found, told] = [0, 0];
eachNeighbourBlock(queries, gallery, 100, { onProgress: ({ done }) => { told = done; } }, ({ count }) => { found += count; });
console.log(JSON.stringify({ before, peak: of('VmHWM'), found, told }));
`;
  const modules = [dist('../../../torch/dist/index.js'), dist('../../dist/neighbours/nearest.js')];
  const args = ['--input-type=module', '-e', wide, ...modules];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  expect(status, stderr).toBe(0);
  const { before, peak, found, told } = JSON.parse(stdout);
  expect([found, told]).toEqual([4096, 4096]);
  expect(before).toBeGreaterThan((200_000 * 384 * 4) / 2 ** 30);
  // A second copy of the gallery alone would be 0.29 GiB.
  expect(peak - before).toBeLessThan(0.25);
}, 900_000);
