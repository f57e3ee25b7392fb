import { createHash } from 'node:crypto';
import { cpSync, existsSync, readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { conquer } from '@conquer-dml/testing/program';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { setNumThreads, torchVersion } from '@conquer-dml/torch';
import { beforeAll, describe, expect, it } from 'vitest';
import { openFolder, openModel, train } from '../index.js';

// Runs that an earlier version made (test/fixtures/runs/README.md): whoever has such a run opens, embeds, evaluates and
// goes on with it still. Only the program and the library's public names are asked.

const fixtures = fileURLToPath(new URL('../../test/fixtures/runs/', import.meta.url));
const images = join(fixtures, 'images');

interface Expected {
  /** Where the bits after going on were made. */
  machine: string;
  images: string[];
  runs: Record<string, ExpectedRun>;
}
interface ExpectedRun {
  /** A row for each of the images. */
  embeddings: number[][];
  evaluated: { epoch: number; 'R@1': number };
  /** After the third of three epochs. */
  resumed: {
    metricLoss: number;
    /** Of the weights and everything else of the network, in the order of their names. */
    sha256: { best: string; last: string };
  };
}
const expected: Expected = JSON.parse(readFileSync(join(fixtures, 'expected.json'), 'utf8'));
// Another processor or libtorch adds up in another order.
const sameMachine = expected.machine === `${processor()}, libtorch ${torchVersion()}`;

/** One name is that of several kinds of processor, and a virtual machine may hide what one has: products are summed otherwise then. */
function processor(): string {
  const text = existsSync('/proc/cpuinfo') ? readFileSync('/proc/cpuinfo', 'utf8') : '';
  const [family, model] = ['cpu family', 'model'].map(
    (field) => new RegExp(`^${field}\\s*: (\\d+)$`, 'm').exec(text)?.[1],
  );
  const wide = /\bavx512f\b/.test(text) ? 'with' : 'without';
  return `${cpus()[0]?.model}, family ${family}, model ${model}, ${wide} AVX-512`;
}

/** SHA-256 of the network's tensors in a checkpoint. */
function sha256OfModel(file: string): string {
  const bytes = readFileSync(file);
  const start = 8 + Number(bytes.readBigUInt64LE());
  const header: Record<string, { data_offsets: [number, number] }> = JSON.parse(
    bytes.toString('utf8', 8, start),
  );
  const hash = createHash('sha256');
  for (const name of Object.keys(header).sort()) {
    if (!name.startsWith('model.')) continue;
    const [from, to] = header[name]!.data_offsets;
    hash.update(bytes.subarray(start + from, start + to));
  }
  return hash.digest('hex');
}

let folder: string;
beforeAll(() => {
  setNumThreads(1);
  folder = temporaryFolder();
});

async function goOn(name: string, run: string): Promise<void> {
  if (name !== 'library') {
    const args = ['train', '--resume', run, '--dataset-dir', images];
    const { code, stderr } = await conquer(args, { folder });
    expect(code, stderr).toBe(0);
    return;
  }
  await train(
    {
      data: {
        dataset: await openFolder({ folder: images }),
        imageSize: 16,
        batchSize: 8,
        samplesPerClass: 2,
        sampler: { name: 'adaptive', smallClassAction: 'duplicate' },
      },
      model: {
        backbone: { name: 'small-resnet', widths: [4, 4, 8, 8] },
        embeddingDim: 8,
        dropout: 0.1,
        masks: { initialisation: 'normal' },
      },
      loss: { name: 'margin' },
      divide: { numLearners: 4, modEpoch: 1 },
      optimize: {
        learningRate: 2e-3,
        lossLearningRate: 0.01,
        weightDecay: 0,
        maskWeightDecayMultiplier: 0,
      },
      train: { epochs: 3, seed: 5 },
    },
    { run, resume: true },
  );
}

describe.each(Object.entries(expected.runs))('the run %s', (name, { embeddings, evaluated, resumed }) => {
  const run = join(fixtures, name);

  it('embeds images as it did', async () => {
    using model = await openModel(run);
    using rows = await model.embedTensor(expected.images.map((image) => join(images, image)));
    // Processors round differently: 7e-7 was seen.
    const close = embeddings.flat().map((value) => expect.closeTo(value, 5));
    expect([...rows.toTypedArray()]).toEqual(close);
  });

  it('is evaluated to the same numbers', async () => {
    const copy = join(folder, `${name}-evaluated`);
    cpSync(run, copy, { recursive: true });
    const args = ['eval', copy, '--dataset-dir', images, '--json'];
    const { code, stdout, stderr } = await conquer(args, { folder });
    expect(code, stderr).toBe(0);
    const { epoch, metrics } = JSON.parse(stdout);
    expect({ epoch, 'R@1': metrics['R@1'] }).toEqual(evaluated);
  });

  it('goes on to the same weights', async () => {
    const copy = join(folder, name);
    cpSync(run, copy, { recursive: true });
    await goOn(name, copy);
    const records = readFileSync(join(copy, 'metrics.jsonl'), 'utf8').trim().split('\n');
    const last = JSON.parse(records.at(-1)!);
    expect(last).toMatchObject({ epoch: 2, metricLoss: expect.closeTo(resumed.metricLoss, 1) });
    const checkpoint = (which: string) => sha256OfModel(join(copy, 'checkpoints', `${which}.safetensors`));
    if (sameMachine) expect({ best: checkpoint('best'), last: checkpoint('last') }).toEqual(resumed.sha256);
  });
});
