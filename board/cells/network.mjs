// A cell that trains the network itself, by `conquer train` in a process of its own, until its minutes or epochs are over: killed, it goes on from the
// run's last step. `node board/cells/network.mjs FOLDER`, where cell.json says what; leaves the run and result.json.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { mergeExperiments, readRecipe, resolveExperiment } from '../../packages/conquer/dist/index.js';
import { splitOf } from '../data.mjs';
import { machine, othersHeld, ownResultOf, ROOT, readJson, THREADS, writeJson } from '../places.mjs';
import { startFile } from '../start-file.mjs';
import { variantOf } from '../variants.mjs';

const LOSSES = {
  margin: { loss: { name: 'margin', margin: 0.2, beta: 1.2 }, miner: { name: 'distance-weighted' } },
  'multi-similarity': { loss: { name: 'multi-similarity', negWeight: 50 } },
  triplet: { loss: { name: 'triplet', margin: 0.1 }, miner: { name: 'multi-similarity' } },
};

/** An experiment of settings that the peers know as well. */
function fromSettings(settings) {
  const { network, loss, learningRate, embeddingMultiplier, weightDecay } = settings;
  return {
    ...LOSSES[loss],
    data: {
      ...{ imageSize: settings.imageSize, resize: settings.resize, cache: true },
      augmentation: { name: 'standard', minArea: settings.minArea ?? 0.08 },
      sampler: { name: 'class-balanced' },
      ...{ batchSize: settings.batch, samplesPerClass: settings.perClass },
    },
    model: {
      backbone: { name: network },
      weights: network === 'resnet18' ? settings.startFile : 'published',
      ...{ batchNorm: settings.batchNorm, embeddingDim: settings.dim, dropout: 0 },
    },
    divide: { numLearners: 1 },
    optimize: {
      ...{ optimizer: { name: 'adam' }, learningRate, weightDecay, lossLearningRate: 0 },
      embeddingLearningRateMultiplier: embeddingMultiplier,
      ...(settings.average && { ema: { decay: 0.999, warmup: true } }),
    },
  };
}

async function experimentOf(cell) {
  const { csv, search } = await splitOf(cell.set, cell.seed);
  const own = {
    data: { dataset: { name: 'csv', file: cell.search ? search : csv }, onBadImage: 'skip' },
    train: { seed: cell.seed, threads: THREADS },
    evaluate: { map: false, bestBy: 'MAP@R' },
  };
  if (cell.settings) {
    const settings = {
      ...cell.settings,
      ...(cell.settings.network === 'resnet18' && { startFile: startFile(cell.seed) }),
    };
    return resolveExperiment(mergeExperiments(fromSettings(settings), own, { train: { epochs: 100_000 } }));
  }
  const { experiment } = readRecipe(cell.recipe);
  const variant = variantOf(cell.variant);
  const given = mergeExperiments(
    experiment,
    { divide: { freezeMasksWithOneLearner: true } },
    cell.base ?? {},
    variant.experiment,
    own,
  );
  const resolved = resolveExperiment(given);
  if (!variant.like) return resolved;
  // As many epochs after the start as the other took time for, at this one's pace.
  const [other, alone] = cell.needs.map(ownResultOf);
  const { divideFrom } = resolved.divide;
  const after = resolved.train.epochs - divideFrom;
  const epochs =
    divideFrom + Math.max(1, Math.round((after * other.processorSeconds) / alone.processorSeconds));
  return { ...resolved, train: { ...resolved.train, epochs } };
}

const CLOCK = 100;

/** Peak bytes and processor's seconds of a process so far; what is there while it runs. */
function usedBy(pid) {
  try {
    const peak = /VmHWM:\s*(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
    return {
      memory: Number(peak[1]) * 1024,
      processorSeconds: (Number(fields[11]) + Number(fields[12])) / CLOCK,
    };
  } catch {
    return null;
  }
}

function epochsOf(run) {
  const file = join(run, 'metrics.jsonl');
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8').trim().split('\n');
  return lines.map((line) => JSON.parse(line));
}

/** What a run's log says of each epoch: seconds of dividing and training up to its end, steps, and metrics of the test classes. */
function curveOf(run) {
  let [seconds, steps] = [0, 0];
  return epochsOf(run).map(({ epoch, metrics, seconds: took, steps: some = 0 }) => {
    seconds += (took.divide ?? 0) + (took.train ?? 0);
    steps += some;
    return {
      epoch,
      seconds,
      steps,
      'R@1': metrics['R@1'],
      'R@1 SE': metrics['R@1 SE'],
      'MAP@R': metrics['MAP@R'],
      NMI: metrics.NMI,
    };
  });
}

/** The same with the seconds since the process began, without those of evaluation. @param passed up to each epoch's end */
function byTheClock(run, passed) {
  let evaluated = 0;
  const evaluations = epochsOf(run).map(({ seconds }) => (evaluated += seconds.evaluate ?? 0));
  // The first is of the network as it comes, before an epoch.
  const first = evaluations.length - passed.length;
  return curveOf(run).flatMap((point, at) =>
    at < first ? [] : [{ ...point, seconds: passed[at - first] - evaluations[at] }],
  );
}

async function run(folder, cell) {
  const before = machine();
  const path = join(folder, 'run');
  // Of all that passes but evaluation, what is prepared before the first epoch too: a run that goes on would not know.
  const counts = cell.clock === 'all';
  if (counts)
    for (const old of [path, join(folder, 'used.json')]) rmSync(old, { recursive: true, force: true });
  const began = performance.now();
  const passed = [];
  const file = join(folder, 'experiment.json');
  if (!existsSync(file)) writeJson(file, await experimentOf(cell));
  const budget = cell.minutes === undefined ? Number.POSITIVE_INFINITY : 60 * cell.minutes;
  const secondsNow = () => curveOf(path).at(-1)?.seconds ?? 0;
  let used = readJson(join(folder, 'used.json')) ?? { memory: 0, processorSeconds: 0 };
  const sofar = used;
  if (secondsNow() < budget && readJson(join(path, 'summary.json'))?.status !== 'finished') {
    const how = existsSync(join(path, 'config.json'))
      ? ['--resume', path]
      : ['--experiment', file, '--runs-dir', folder, '--name', 'run'];
    const child = spawn(
      process.execPath,
      [join(ROOT, 'packages/conquer/bin/conquer.js'), 'train', ...how, '--json'],
      {
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    process.on('SIGTERM', () => child.kill('SIGTERM'));
    let [said, enough] = ['', false];
    child.stderr.setEncoding('utf8').on('data', (text) => {
      said = (said + text).slice(-4000);
    });
    createInterface({ input: child.stdout }).on('line', (line) => {
      const now = usedBy(child.pid);
      if (now) {
        used = {
          memory: Math.max(sofar.memory, now.memory),
          processorSeconds: sofar.processorSeconds + now.processorSeconds,
        };
        writeJson(join(folder, 'used.json'), used);
      }
      if (JSON.parse(line).event === 'epoch') passed.push((performance.now() - began) / 1000);
      if (enough || JSON.parse(line).event !== 'epoch' || secondsNow() < budget) return;
      enough = true;
      child.kill('SIGTERM');
    });
    const code = await new Promise((done) => child.on('close', done));
    if (code !== 0 && !enough) throw new Error(said.trim().split('\n').at(-1));
  }
  const curve = counts ? byTheClock(path, passed) : curveOf(path);
  const { seconds, steps, epoch: _, ...scores } = curve.at(-1);
  return {
    scores,
    curve,
    steps,
    seconds,
    ...used,
    machine: before,
    others: othersHeld(before, seconds, used.processorSeconds),
  };
}

const [folder] = process.argv.slice(2);
const cell = readJson(join(folder, 'cell.json'));
writeJson(join(folder, 'result.json'), { cell, ...(await run(folder, cell)) });
