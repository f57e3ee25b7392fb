// The most memory that `conquer fit` takes (VmHWM) by the number of photos, of 4 views of 1,280 features. Photos are those of a folder with a subfolder a class
// (default: emoji), over and over, each with bytes of its own behind its end. All but the last 512 have features on the disk, drawn around a centre
// a class; the last go through the network, all views. A line of JSON for each number:
//   [PHOTOS=1000,20000] [FIT='--heads linear'] node bench/fit-memory.mjs [FOLDER]
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openEmoji } from '../packages/conquer/dist/datasets/emoji.js';
import { contentHashes } from '../packages/conquer/dist/fit/content-hashes.js';
import { FeatureFiles } from '../packages/conquer/dist/fit/feature-files.js';
import { PhotoView } from '../packages/conquer/dist/fit/photo-views.js';
import { openFolder } from '../packages/conquer/dist/index.js';
import { preprocessingFor } from '../packages/conquer/dist/models/preprocessing.js';
import { openPretrained } from '../packages/conquer/dist/models/weights/pretrained.js';
import { Generator, randn, scope, tensor } from '../packages/torch/dist/index.js';
import { commandLine } from './command-line.mjs';

const COUNTS = (process.env.PHOTOS ?? '1000,20000').split(',').map(Number);
const FIT = (process.env.FIT ?? '').split(' ').filter(Boolean);
const [CLASSES, VIEWS, EMBEDDED, PORTION] = [100, 4, Number(process.env.EMBEDDED ?? 512), 512];
const program = fileURLToPath(new URL('../packages/conquer/bin/conquer.js', import.meta.url));
const [source] = commandLine({}, ['[FOLDER]']).positionals;
const { train } = await (source ? openFolder({ folder: source, split: { kind: 'all' } }) : openEmoji());
const { backbone, input, id } = await openPretrained('tf_efficientnet_lite0.in1k');
const { featureSize } = backbone;

/** Photos in a folder a class, and features of all but the last of them in the folder `cache`. */
async function prepare(folder, count) {
  const paths = Array.from({ length: count }, (_, at) => {
    const original = train.paths[Math.floor((at * train.paths.length) / count)];
    const inside = join(folder, 'photos', `class-${at % CLASSES}`);
    mkdirSync(inside, { recursive: true });
    const file = join(inside, `${at}${extname(original)}`);
    writeFileSync(file, Buffer.concat([readFileSync(original), Buffer.from(`photo ${at}`)]));
    return file;
  });
  const hashes = await contentHashes(paths, { memo: null });
  const generator = new Generator(1);
  const centres = randn([CLASSES, featureSize], { generator });
  for (let number = 0; number < VIEWS; number++) {
    const of = { id, pooling: 'avg', ...new PhotoView(number, preprocessingFor(input)).description };
    const files = new FeatureFiles(join(folder, 'cache/features'), of, featureSize);
    for (let start = 0; start < count - EMBEDDED; start += PORTION)
      scope(() => {
        const some = hashes.slice(start, Math.min(start + PORTION, count - EMBEDDED));
        const classes = tensor(
          some.map((_, at) => (start + at) % CLASSES),
          { dtype: 'int64' },
        );
        const noise = randn([some.length, featureSize], { generator });
        files.add(some, centres.indexSelect(0, classes).add(noise, 2));
      });
  }
}

/** Runs the program and asks the system now and then how much it has taken at most. */
async function peakOf(folder) {
  const child = spawn(process.execPath, [program, 'fit', 'photos', '--json', ...FIT], {
    cwd: folder,
    env: { ...process.env, CONQUER_CACHE: join(folder, 'cache') },
    stdio: ['ignore', 'ignore', process.env.QUIET ? 'ignore' : 'inherit'],
  });
  let kilobytes = 0;
  const timer = setInterval(() => {
    try {
      const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
      kilobytes = Math.max(kilobytes, Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0));
    } catch {} // it has ended
  }, 50);
  const code = await new Promise((resolve) => child.on('close', resolve));
  clearInterval(timer);
  if (code !== 0) throw new Error(`conquer fit ended with ${code}`);
  return kilobytes * 1024;
}

for (const photos of COUNTS) {
  const folder = mkdtempSync(join(tmpdir(), 'conquer-bench-'));
  try {
    await prepare(folder, photos);
    const peak = await peakOf(folder);
    console.log(JSON.stringify({ photos, features: photos * VIEWS * featureSize * 4, peak }));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
