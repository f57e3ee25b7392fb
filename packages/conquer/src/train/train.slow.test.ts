import { join, relative } from 'node:path';
import { RunFolder } from '@conquer-dml/run';
import { writeDiscs } from '@conquer-dml/testing/pictures';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { liveTensors } from '@conquer-dml/torch';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { openFolder } from '../datasets/folder.js';
import type { ExperimentInput } from '../experiment/experiment.js';
import { mergeExperiments } from '../experiment/merge.js';
import type { ExperimentWithOwnParts } from '../experiment/own-parts.js';
import { ProxyNcaLoss } from '../losses/proxy-nca.js';
import type { TrainObserver } from './observer.js';
import { type TrainRequest, train } from './train.js';
import { trainEmbedding } from './train-embedding.js';

let folder: string;
beforeAll(() => {
  folder = temporaryFolder();
  writeDiscs(folder, 4);
});

const at = (run: string) => join(folder, run);
const small = (fields: ExperimentInput = {}): ExperimentInput =>
  mergeExperiments<ExperimentInput>(
    {
      data: {
        dataset: { name: 'folder', folder: at('images') },
        imageSize: 16,
        batchSize: 8,
        samplesPerClass: 2,
      },
      model: { backbone: { name: 'small-resnet', widths: [4, 8] }, embeddingDim: 8 },
      divide: { numLearners: 2, modEpoch: 1 },
      train: { epochs: 1 },
    },
    fields,
  );

/** Notes that a training makes. */
async function notesOf(experiment: ExperimentWithOwnParts, run: string): Promise<string[]> {
  const notes: string[] = [];
  await train(experiment, { run: at(run), observer: { onWarning: (text) => notes.push(text) } });
  return notes;
}

describe('train', () => {
  it('trains what an experiment says into a run folder, and leaves nothing behind', async () => {
    const before = liveTensors();
    const { best } = await train(small(), { run: at('named') });
    expect(best?.epoch).toBe(0);
    expect(liveTensors()).toBe(before);
    expect(RunFolder.open(at('named')).settings()).toMatchObject({
      'loss.name': 'margin',
      'data.dataset.name': 'folder',
      'train.epochs': 1,
    });
  });

  it('writes down where its data are, for whoever works in another folder', async () => {
    const images = relative(process.cwd(), at('images'));
    await train(small({ data: { dataset: { name: 'folder', folder: images } } }), { run: at('relative') });
    expect(RunFolder.open(at('relative')).settings()).toMatchObject({ 'data.dataset.folder': at('images') });
  });

  it("takes code of one's own in the place of parts, whose loss stays the caller's", async () => {
    const dataset = await openFolder({ folder: at('images') });
    const { data, ...others } = small();
    const { dataset: _, ...fields } = data!;
    using loss = new ProxyNcaLoss({ numClasses: 8, embeddingDim: 8 });
    const before = liveTensors();
    await train({ ...others, loss, data: { ...fields, dataset } }, { run: at('own') });
    expect(liveTensors()).toBe(before);
    expect([...loss.stateDict().values()][0]?.shape).toEqual([8, 8]);
    expect(RunFolder.open(at('own')).settings()).toMatchObject({
      'loss.own': 'ProxyNcaLoss',
      'data.dataset.own': 'images',
    });
  });

  it.each<[string, () => ExperimentWithOwnParts, RegExp]>([
    ['weights that are not there', () => small({ model: { weights: '/nowhere.pth' } }), /\/nowhere\.pth/],
    ['images too small', () => small({ model: { backbone: { name: 'alexnet' } } }), /^data\.imageSize: /],
    [
      'masks that cannot be',
      () => small({ model: { masks: { kind: 'fixed', initialisation: 'normal' } } }),
      /^model\.masks/,
    ],
    [
      'an embedding that cannot be',
      () => small({ model: { embeddingDim: 4, embeddingInit: { split: true } }, divide: { numLearners: 8 } }),
      /8/,
    ],
    [
      'a loss whose options cannot be',
      () => ({ ...small(), loss: { name: 'margin', margin: -1 } }),
      /^loss\.margin: expected/,
    ],
    [
      'a miner of one’s own that fails',
      () => ({ ...small(), loss: { name: 'contrastive' }, miner: { mine: () => fail() } }),
      /mined badly/,
    ],
  ])('refuses %s, and leaves nothing behind', async (what, experiment, message) => {
    const before = liveTensors();
    const training = train(experiment(), { run: at(what.replaceAll(/\W/g, '-')) });
    await expect(training).rejects.toThrow(message);
    expect(liveTensors()).toBe(before);
  });

  it('begins anew where it is to go on and there is no checkpoint yet', async () => {
    const stop = new AbortController();
    const stopped = train(small(), {
      run: at('early'),
      signal: stop.signal,
      observer: { onEmbed: () => stop.abort() },
    });
    await expect(stopped).rejects.toThrow(/^stopped/);
    expect(RunFolder.open(at('early')).hasCheckpoint).toBe(false);
    const summary = await train(small(), { run: at('early'), resume: true });
    expect(summary.best?.metrics).toEqual(RunFolder.open(at('named')).summary()?.best?.metrics);
  });

  it('warns of a start that cannot learn, and of a run that did not', async () => {
    const notes = await notesOf(small({ model: { batchNorm: 'frozen' } }), 'frozen');
    expect(notes).toContainEqual(
      expect.stringMatching(/^BatchNorm is frozen at statistics .*: start from pretrained weights/),
    );
    const still = await notesOf(
      small({ optimize: { learningRate: 0 }, divide: { numLearners: 1 } }),
      'still',
    );
    expect(still).toContainEqual(expect.stringMatching(/^a learning rate of 0 leaves .* \(optimize\.lear/));
    expect(still.at(-1)).toMatch(/^(the run did not learn: R@1 was|whether the run learnt cannot be told)/);
  });

  it('says to the process what nobody listens to', async () => {
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    await train(small({ optimize: { learningRate: 0 } }), { run: at('unheard') });
    expect(warned).toHaveBeenCalledWith(expect.stringMatching(/a learning rate of 0/));
    warned.mockRestore();
  });

  it('refuses requests and observers of other names', async () => {
    const request = { run: at('refused'), resumed: true } as TrainRequest;
    await expect(train(small(), request)).rejects.toThrow(
      /^train: unknown option 'resumed' \(did you mean resume\?\); expected run, /,
    );
    const observer = { onEpoch: () => {} } as TrainObserver;
    const unknown = /^observer: unknown option 'onEpoch'.*; expected onPreparation, .*onEpochEnd/;
    await expect(train(small(), { run: at('refused'), observer })).rejects.toThrow(unknown);
    const dataset = await openFolder({ folder: at('images') });
    await expect(trainEmbedding({ dataset, run: at('refused'), observer })).rejects.toThrow(unknown);
    expect(RunFolder.exists(at('refused'))).toBe(false);
    // An observer of a class has fields of its own.
    class Counter implements TrainObserver {
      epochs = 0;
      onEpochEnd(): void {
        this.epochs++;
      }
    }
    const counter = new Counter();
    await train(small(), { run: at('counted'), observer: counter });
    expect(counter.epochs).toBe(2);
    class Mistyped extends Counter {
      onEpocEnd(): void {}
    }
    const mistyped = train(small(), { run: at('refused'), observer: new Mistyped() });
    await expect(mistyped).rejects.toThrow(/unknown option 'onEpocEnd' \(did you mean onEpochEnd\?\)/);
  });
});

function fail(): never {
  throw new Error('mined badly');
}
