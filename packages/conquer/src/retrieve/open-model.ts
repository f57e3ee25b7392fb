import { createHash } from 'node:crypto';
import { createReadStream, existsSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { didYouMean, RunFolder, UserError } from '@conquer-dml/run';
import { StateDictFile } from '@conquer-dml/torch';
import { prepareDevice } from '../device.js';
import { ballOf } from '../experiment/ball-of.js';
import type { Builder } from '../experiment/builder.js';
import type { ExperimentInput, Parts } from '../experiment/experiment.js';
import { resolveExperiment } from '../experiment/resolve.js';
import { type OptionNames, refuseUnknownOptions } from '../known-options.js';
import type { Backbone } from '../models/backbones/backbone.js';
import type { FeatureModule } from '../models/backbones/own-backbone.js';
import { FrozenNetwork } from '../models/tunings/frozen-network.js';
import { isPretrained, openPretrained, type PretrainedOptions } from '../models/weights/pretrained.js';
import { publicName, publicNames, publishedAs } from '../models/weights/public-name.js';
import type { Ball } from '../neighbours/poincare.js';
import { type AskedPrecision, choosePrecision, usualPrecision } from '../precision.js';
import { type Checkpoint, disposeCheckpoint, loadCheckpoint } from '../train/checkpoint.js';
import { loadCheckpointOf, trainedNetwork } from '../train/run-checkpoint.js';
import { TrainedModel } from './trained-model.js';

export interface OpenModelOptions extends PretrainedOptions {
  /** Which weights of a run; default 'best'. */
  checkpoint?: 'best' | 'last';
  /** Where the model goes: 'cpu' (default), 'cuda:0', … */
  device?: string;
  /** What the network is computed in, as `train.precision`; default 'float32', whatever it was trained in. */
  precision?: AskedPrecision;
  /** What names mean, for a run that was trained with parts of one's own. */
  parts?: Parts;
  /** For a run that was trained with a backbone of one's own: it, untrained; it becomes the model's. */
  backbone?: Backbone | FeatureModule;
}

/** All of its options. */
const optionNames: OptionNames<OpenModelOptions> = {
  checkpoint: true,
  device: true,
  precision: true,
  parts: true,
  backbone: true,
  arch: true,
  revision: true,
  onNote: true,
  onPreparation: true,
};

/**
 * Opens a trained model, to embed images with it: one of a run, or one as it was published, whose features are the embedding.
 *
 * @param from a run's folder, or a checkpoint by itself (`runs/a/checkpoints/best.safetensors`, or a copy of it anywhere): it
 *   says what it is of; or what `openPretrained` opens: `timm/vit_small_patch14_dinov2.lvd142m`, `facebook/dinov2-small`, a
 *   folder of `save_pretrained`, a file of weights (with `arch`)
 * @returns a model in evaluation mode that belongs to the caller, who closes it (`using model = await openModel('runs/a')`)
 * @throws UserError when there is no run, no such checkpoint, a setting is missing, or the checkpoint does not
 *   fit the settings; when weights cannot be fetched or do not fit
 */
export async function openModel(from: string, options: OpenModelOptions = {}): Promise<TrainedModel> {
  if (typeof from !== 'string')
    throw new TypeError(`openModel: expected the path of a run's folder or of a checkpoint, got ${from}`);
  refuseUnknownOptions('openModel', options, optionNames);
  const { device = 'cpu', precision = usualPrecision, parts, backbone } = options;
  prepareDevice(device);
  if (options.arch !== undefined || isPretrained(from))
    return await openPublished(from, options, { device, precision });
  const found = statSync(from, { throwIfNoEntry: false })?.isFile()
    ? ofFile(from, options)
    : ofRun(from, options.checkpoint ?? 'best');
  const { saved, file, source, checkpoint, describedBy } = found;
  try {
    const stored = resolveExperiment(saved.state.experiment as ExperimentInput, parts);
    const experiment = { ...stored, train: { ...stored.train, device, precision } };
    const builder: Builder = {
      ...(parts && { parts }),
      own: { ...(backbone && { backbone }) },
      ...(options.onNote && { onNote: options.onNote }),
    };
    const id = await sha256Of(file);
    const model = trainedNetwork(saved, experiment, builder, { file, describedBy });
    model.eval();
    const ball = ballOf(experiment);
    if (ball) options.onNote?.(byAngle(ball));
    return new TrainedModel(model, { id, source, checkpoint }, device);
  } finally {
    disposeCheckpoint(saved);
  }
}

/** An index keeps rows of length 1. */
const byAngle = ({ clipRadius }: Ball): string =>
  `the model was trained by distances in the Poincaré ball, and what is done with it here goes by the angle between embeddings, ${
    clipRadius === null
      ? 'which ranks those of different lengths otherwise'
      : `which ranks those alike that are ${clipRadius} long or longer, and shorter ones otherwise`
  }; conquer eval goes by the ball`;

async function openPublished(
  from: string,
  options: OpenModelOptions,
  { device, precision }: Required<Pick<OpenModelOptions, 'device' | 'precision'>>,
): Promise<TrainedModel> {
  const { checkpoint, parts, backbone: own, ...pretrained } = options;
  const wrong = Object.entries({ checkpoint, parts, backbone: own }).find(([, value]) => value !== undefined);
  if (wrong) throw new UserError(`openModel: ${from} is no run: ${wrong[0]} is for a run's model`);
  const { backbone, input, source, id } = await openPretrained(from, pretrained);
  const model = new FrozenNetwork(backbone, input);
  backbone.precision = choosePrecision(precision, device, options);
  model.to({ device });
  model.eval();
  return new TrainedModel(model, { id, source, checkpoint: null }, device);
}

interface Found {
  saved: Checkpoint;
  file: string;
  source: string;
  checkpoint: 'best' | 'last' | null;
  /** What says of which network the weights are. */
  describedBy: string;
}

function ofRun(path: string, checkpoint: 'best' | 'last'): Found {
  if (!existsSync(path))
    throw new UserError(
      `there is no run in ${path}, nor a published model of that name${likeModel(path.replace(/@.*$/, ''))}: conquer models lists them`,
    );
  const run = RunFolder.open(path);
  const { checkpoint: saved, file } = loadCheckpointOf(run, checkpoint, path);
  return { saved, file, source: run.path, checkpoint, describedBy: run.configFile };
}

/** What may have been meant; an architecture's name alone is torchvision's, whose weights say nothing of how images are to be seen. */
function likeModel(name: string): string {
  const tagged = publicName(`timm/${name}`);
  return publishedAs(tagged) !== null
    ? ` (did you mean ${tagged}?)`
    : didYouMean(
        name,
        publicNames().filter((other) => other !== name),
      );
}

function ofFile(path: string, { checkpoint }: OpenModelOptions): Found {
  if (checkpoint !== undefined)
    throw new UserError(
      `openModel: ${path} is a checkpoint itself: checkpoint '${checkpoint}' is for a run's folder`,
    );
  if (!isCheckpoint(path))
    throw new UserError(
      `${path} does not say of which network its weights are: name that (arch), e.g. tf_efficientnet_lite0.in1k`,
    );
  const file = resolve(path);
  return { saved: loadCheckpoint(path), file, source: file, checkpoint: null, describedBy: 'it' };
}

/** Whatever cannot be read is taken for one, and refused as one. */
function isCheckpoint(path: string): boolean {
  try {
    using file = new StateDictFile(path);
    return file.metadata.format?.startsWith('conquer-') ?? false;
  } catch {
    return true;
  }
}

/** In hexadecimal. */
async function sha256Of(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}
