// What the exchange costs a training step (that of bench/ours/step.mjs): two processes of one thread that share a batch, beside the same
// two that have half of it each and exchange nothing, and one process of two threads; by turns, the slower process's time counts.
//   node bench/scale.mjs [ARCH BATCH PIXELS]
//   node bench/scale.mjs ARCH BATCH PIXELS --megabits 1000 --processes 4     in networks of their own (ip netns, tc; as root)
// A batch has 4 images a process or more, an even number.
// What is sent by each process and step is written too: from it and the bandwidth follows what more machines take.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { commandLine, refuse } from './command-line.mjs';
import { median, startOurs, startOursIn } from './sides.mjs';

const { values, positionals } = commandLine(
  { megabits: { type: 'number' }, processes: { type: 'number', default: 2 } },
  ['[ARCH]', '[BATCH]', '[PIXELS]'],
);
const [arch = 'resnet50', batch = '8', size = '224'] = positionals;
const TURNS = Number(process.env.TURNS ?? 5);
const WARM_UP = 1;
const count = values.processes;
const port = 20_000 + (process.pid % 20_000);

const ip = (...args) => execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });
const networks =
  values.megabits === undefined ? null : Array.from({ length: count }, (_, i) => `conquer-${i}`);

/** A bridge to which each network is connected, and out of each no more than so much. */
function connect() {
  ip('link', 'add', 'conquer-bridge', 'type', 'bridge');
  ip('link', 'set', 'conquer-bridge', 'up');
  for (const [i, network] of networks.entries()) {
    ip('netns', 'add', network);
    ip('link', 'add', `conquer-v${i}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', network);
    ip('link', 'set', `conquer-v${i}`, 'master', 'conquer-bridge', 'up');
    ip('-n', network, 'addr', 'add', `10.77.0.${i + 1}/24`, 'dev', 'eth0');
    for (const device of ['lo', 'eth0']) ip('-n', network, 'link', 'set', device, 'up');
    const limit = ['tbf', 'rate', `${values.megabits}mbit`, 'burst', '256kb', 'latency', '50ms'];
    ip('netns', 'exec', network, 'tc', 'qdisc', 'add', 'dev', 'eth0', 'root', ...limit);
  }
}

function disconnect() {
  for (const network of networks) {
    try {
      ip('netns', 'del', network);
    } catch {} // it never came to be
  }
  try {
    ip('link', 'del', 'conquer-bridge');
  } catch {}
}

const argsOf = (images, more) =>
  Object.entries({ arch, batch: images, size, learners: '8', bn: 'frozen', ...more }).flatMap(
    ([name, value]) => [`--${name}`, String(value)],
  );
const share = Number(batch) / count;
// Two classes of two: a process alone has a positive and a negative of each image.
if (!(share >= 4 && share % 2 === 0))
  refuse(
    `expected a batch with an even number of images for each of ${count} processes, at least ${4 * count} in all, got ${batch}`,
  );
const host = networks ? '10.77.0.1' : '127.0.0.1';
const start = (rank, args) =>
  networks ? startOursIn(networks[rank], 'step', args) : startOurs('step', args);
const ranks = Array.from({ length: count }, (_, rank) => rank);

const sides = {
  [`${count} processes that share the batch`]: () =>
    Promise.all(
      ranks.map((rank) =>
        start(rank, argsOf(batch, { perClass: 2, threads: 1, place: `${rank}/${count}@${host}:${port}` })),
      ),
    ),
  [`${count} processes without exchange`]: () =>
    Promise.all(
      ranks.map((rank) => start(rank, argsOf(share, { perClass: Math.max(1, share / 2), threads: 1 }))),
    ),
  'one process of two threads': async () => [await startOurs('step', argsOf(batch, { perClass: 2 }))],
};

const load = () => Number(readFileSync('/proc/loadavg', 'utf8').split(' ')[0]);
try {
  if (networks) connect();
  const begun = load();
  const running = {};
  for (const [name, begin] of Object.entries(sides)) running[name] = await begin();
  const took = Object.fromEntries(Object.keys(sides).map((name) => [name, []]));
  for (let turn = -WARM_UP; turn < TURNS; turn++) {
    for (const [name, processes] of Object.entries(running)) {
      const answers = await Promise.all(processes.map((side) => side.run()));
      const seconds = Math.max(...answers.map(({ seconds }) => seconds));
      const processor = answers.reduce((sum, answer) => sum + answer.processor, 0);
      if (turn >= 0) took[name].push({ seconds, processor });
    }
  }
  for (const processes of Object.values(running)) await Promise.all(processes.map((side) => side.end()));
  const of = (name, what) => median(took[name].map((each) => each[what]));
  const [, without] = Object.keys(sides);
  const where = networks ? `, ${values.megabits} Mbit/s out of each` : '';
  console.log(`${arch}, batch ${batch}, ${size} px, float32${where}; load ${begun} before, ${load()} after`);
  for (const name of Object.keys(sides)) {
    const [seconds, processor] = [of(name, 'seconds'), of(name, 'processor')];
    const ratio = (what, value) => (value / of(without, what)).toFixed(2);
    console.log(
      `  ${name}: ${(1000 * seconds).toFixed(0)} ms (${ratio('seconds', seconds)}), ` +
        `${(1000 * processor).toFixed(0)} ms of the processor (${ratio('processor', processor)})`,
    );
  }
} finally {
  if (networks) disconnect();
}
