// Attention of ViT-S/16 at 224 pixels, batch 8 (8, 6, 197, 64): libtorch's one operator, where it has it, beside the chain of products and
// softmax, by turns in one process on two threads, in milliseconds of the processor (which others' work does not count into) and of the clock.
// Of another libtorch: LIBTORCH=… node bench/attention.mjs
import { F, keepFreedMemory, noGrad, randn, scope, setNumThreads, torchVersion } from '@conquer-dml/torch';
import { commandLine } from './command-line.mjs';
import { median } from './sides.mjs';

commandLine();

const SHAPE = [8, 6, 197, 64];
const TURNS = Number(process.env.TURNS ?? 15);
const REPEATS = 10;

keepFreedMemory();
setNumThreads(2);

const chain = (q, k, v) => F.softmax(q.mul(SHAPE[3] ** -0.5).matmul(k.transpose(-2, -1)), -1).matmul(v);
const ways = { chain, product: F.scaledDotProductAttention };
const [q, k, v] = Array.from({ length: 3 }, () => randn(SHAPE).requiresGrad_());
const work = {
  forward: (way) => noGrad(() => scope(() => void way(q, k, v))),
  'forward and backward': (way) => {
    scope(() => way(q, k, v).sum().backward());
    for (const each of [q, k, v]) each.grad = null;
  },
};

console.log(`libtorch ${torchVersion()}`);
for (const [what, run] of Object.entries(work)) {
  const times = Object.fromEntries(Object.keys(ways).map((way) => [way, { cpu: [], wall: [] }]));
  for (let turn = 0; turn <= TURNS; turn++) {
    for (const [name, way] of Object.entries(ways)) {
      const start = performance.now();
      const before = process.cpuUsage();
      for (let i = 0; i < REPEATS; i++) run(way);
      const { user, system } = process.cpuUsage(before);
      if (turn === 0) continue;
      times[name].cpu.push((user + system) / 1000 / REPEATS);
      times[name].wall.push((performance.now() - start) / REPEATS);
    }
  }
  for (const [name, { cpu, wall }] of Object.entries(times))
    console.log(
      `${what}, ${name}: ${median(cpu).toFixed(2)} ms of the processor, ${median(wall).toFixed(2)} ms`,
    );
}
