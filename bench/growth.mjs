// node bench/growth.mjs: how cost grows with learners, images and clusters, for docs/performance.md.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { commandLine } from './command-line.mjs';
import { synthesize } from './data.mjs';
import { describeMachine, writeReport } from './report.mjs';
import { PYTHON, ROOT, startOurs } from './sides.mjs';

commandLine();

const TIMES = 4;
const STEP = ['--arch', 'resnet18', '--batch', '80', '--size', '64', '--bn', 'trained', '--learners'];

/** The fastest of a few runs of a side of ours; the first, which warms up, counts where it is the only one. */
async function fastest(side, args, times = TIMES) {
  const process = await startOurs(side, args);
  try {
    const first = await process.run();
    const runs = [];
    for (let i = 1; i < times; i++) runs.push(await process.run());
    return (runs.length > 0 ? runs : [first]).reduce((a, b) => (a.seconds <= b.seconds ? a : b));
  } finally {
    await process.end();
  }
}

/** The slope of the straight line through the logarithms, by least squares. */
function exponentOf(points) {
  const logs = points.map(({ x, seconds }) => ({ x: Math.log(x), y: Math.log(seconds) }));
  const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
  const [x, y] = [mean(logs.map((log) => log.x)), mean(logs.map((log) => log.y))];
  const above = logs.reduce((sum, log) => sum + (log.x - x) * (log.y - y), 0);
  return above / logs.reduce((sum, log) => sum + (log.x - x) ** 2, 0);
}

async function curve(about, sizes, measure) {
  const points = [];
  for (const x of sizes) {
    const { seconds, extraBytes: bytes } = await measure(x);
    console.log(`${about.title}: ${x}: ${seconds.toPrecision(3)} s`);
    points.push({ x, seconds, ...(bytes !== undefined && { bytes }) });
  }
  return { ...about, points, exponent: exponentOf(points) };
}

const curves = [
  await curve(
    {
      title: 'A training step against the number of learners',
      size: 'learners',
      unit: 'step',
      note: 'ResNet-18, 64 px, batch 80. The mask loss is one product of the masks with themselves.',
    },
    [1, 2, 4, 8, 16, 32, 64],
    (learners) => fastest('step', [...STEP, String(learners)]),
  ),
  await curve(
    {
      title: 'Evaluation against the number of images',
      size: 'images',
      unit: 'evaluation',
      note: 'Recall@{1, 10, 100, 1000} and MAP@R, 512 dimensions, every image a query: all pairs are looked at, none is kept.',
    },
    [5_000, 10_000, 20_000, 40_000, 80_000, 120_000],
    async (images) => {
      const how = { classes: Math.ceil(images / 5), unit: true, seed: 11 };
      const { embeddings, labels } = await synthesize('growth', images, 512, how);
      return fastest('recall', ['--queries', embeddings, '--labels', labels], 1);
    },
  ),
  await curve(
    {
      title: 'Division against the number of clusters',
      size: 'clusters',
      unit: 'division',
      note: 'k-means on 20,000 × 512 to convergence, start included; how many iterations that takes is chance.',
    },
    [2, 4, 8, 16, 32, 64],
    async (clusters) => {
      const { embeddings } = await synthesize('division', 20_000, 512, {
        classes: 4000,
        unit: true,
        seed: 12,
      });
      return fastest('kmeans', ['--data', embeddings, '--clusters', String(clusters)]);
    },
  ),
];

const WIDTH = 320;
const HEIGHT = 240;
const MARGIN = 48;

/** One curve as a log-log plot. */
function panel({ size, title, points, exponent }, offset) {
  const range = (values) => [Math.log(Math.min(...values)) - 0.2, Math.log(Math.max(...values)) + 0.2];
  const [left, right] = range(points.map(({ x }) => x));
  const [bottom, top] = range(points.map(({ seconds }) => seconds));
  const at = ({ x, seconds }) => [
    offset + MARGIN + ((Math.log(x) - left) / (right - left)) * (WIDTH - MARGIN - 12),
    HEIGHT - 32 - ((Math.log(seconds) - bottom) / (top - bottom)) * (HEIGHT - 72),
  ];
  const line = points
    .map((point) =>
      at(point)
        .map((value) => value.toFixed(1))
        .join(','),
    )
    .join(' ');
  const text = (x, y, anchor, words) =>
    `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}">${words}</text>`;
  return [
    text(offset + MARGIN, 16, 'start', title.replace(' against', ', against')),
    text(offset + MARGIN, 30, 'start', `power ${exponent.toFixed(2)}`),
    `<polyline points="${line}" fill="none" stroke="#2a6fdb" stroke-width="2"/>`,
    ...points.flatMap((point) => {
      const [x, y] = at(point);
      return [
        `<circle cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="3" fill="#2a6fdb"/>`,
        text(x, HEIGHT - 16, 'middle', point.x >= 1000 ? `${point.x / 1000}k` : point.x),
      ];
    }),
    ...[points[0], points.at(-1)].map((point) =>
      text(offset + MARGIN - 6, at(point)[1] + 4, 'end', `${point.seconds.toPrecision(2)} s`),
    ),
    text(offset + WIDTH / 2, HEIGHT - 2, 'middle', size),
  ].join('\n');
}

const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH * curves.length} ${HEIGHT}" font-family="sans-serif" font-size="10">
<title>Time against learners, images and clusters, both axes logarithmic</title>
<rect width="100%" height="100%" fill="white"/>
${curves.map((one, i) => panel(one, i * WIDTH)).join('\n')}
</svg>
`;
writeFileSync(join(ROOT, 'docs/growth.svg'), svg);
writeReport({ about: describeMachine(PYTHON), growth: { curves } });
