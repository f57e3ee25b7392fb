import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type ImageError, ImageFiles, type ImageInput, ReducedImages } from '@conquer/image';
import { type Preprocessing, RunFolder, type Settings, UserError } from '@conquer/run';
import { Generator, type Tensor } from '@conquer/torch';
import { augmentations } from '../data/augmentations.js';
import { CropSource } from '../data/crop-source.js';
import { InOrderBatches } from '../data/in-order.js';
import { Loader } from '../data/loader.js';
import { preprocessingOf } from '../data/preprocessing.js';
import { evaluationView } from '../data/view.js';
import { prepareDevice } from '../device.js';
import { type OptionNames, refuseUnknownOptions } from '../known-options.js';
import type { EmbeddingModel } from '../models/embedding-model.js';
import { modelNameOf, openModel } from '../models/open.js';
import type { SmallResNetShape } from '../models/small-resnet.js';
import { Random } from '../random.js';
import { disposeCheckpoint } from '../train/checkpoint.js';
import { embedImages } from '../train/embed.js';
import { loadCheckpointOf } from '../train/run-checkpoint.js';

export interface OpenTrainedModelOptions {
  /** Which weights of the run; default 'best'. */
  checkpoint?: 'best' | 'last';
  /** Where the model goes: 'cpu' (default), 'cuda:0', … */
  device?: string;
}

/** All of its options. */
const optionNames: OptionNames<OpenTrainedModelOptions> = { checkpoint: true, device: true };

export interface EmbedFilesOptions {
  /** Images of a batch; default 64. */
  batchSize?: number;
  /** Threads that decode; default one a core. */
  threads?: number | undefined;
  /** Called with the number of images embedded so far. */
  onProgress?: (images: number) => void;
  /**
   * Told of each image that cannot be read, in their order, with its place among the images: its row is left out, and the
   * others are embedded all the same. Without it such an image is an error.
   */
  onBad?: ((error: ImageError, place: number) => void) | undefined;
}

/** A run's network with its trained weights, and the images as it was trained to see them: files or their bytes in, embeddings out. */
export class TrainedModel {
  private constructor(
    readonly model: EmbeddingModel,
    /** Absolute path of the run's folder. */
    readonly run: string,
    /** SHA-256 of the checkpoint file, in hexadecimal: embeddings of two models compare only if it is the same. */
    readonly sha256: string,
    /** Which of the run's checkpoints it is. */
    readonly checkpoint: 'best' | 'last',
    /** What its run's evaluation saw of an image, and `embed` sees. */
    readonly preprocessing: Preprocessing,
    private readonly device: string,
  ) {}

  /**
   * @param path a run folder
   * @returns a model in evaluation mode that belongs to the caller, who disposes it
   * @throws UserError when there is no run, no such checkpoint, a setting is missing, or the checkpoint does not
   *   fit the settings
   */
  static open(path: string, options: OpenTrainedModelOptions = {}): TrainedModel {
    refuseUnknownOptions('TrainedModel.open', options, optionNames);
    const { checkpoint = 'best', device = 'cpu' } = options;
    prepareDevice(device);
    const run = RunFolder.open(path);
    const settings = run.settings();
    const size = required(settings, 'image-size', 'number');
    const preprocessing = preprocessingOf({
      size,
      resize: Number(settings.resize ?? size),
      whole: augmentations.some(({ name, whole }) => whole && name === settings.augmentation),
      cache: settings.cache === 'yes',
    });
    const { checkpoint: saved, file } = loadCheckpointOf(run, checkpoint, path);
    try {
      const model = modelOf(settings);
      try {
        model.setNumLearners(saved.state.numLearners);
        model.loadStateDict(saved.model);
      } catch (error) {
        model.dispose();
        const reason = error instanceof Error ? error.message : error;
        throw new UserError(
          `${file} does not hold the network that the run's config.json describes: ${reason}`,
        );
      }
      model.eval();
      return new TrainedModel(
        model.to({ device }),
        run.path,
        createHash('sha256').update(readFileSync(file)).digest('hex'),
        checkpoint,
        preprocessing,
        device,
      );
    } finally {
      disposeCheckpoint(saved);
    }
  }

  /** D. */
  get embeddingDim(): number {
    return this.model.embeddingDim;
  }

  /**
   * Embeds images, the centre of each, as the evaluation of its run does: see `Preprocessing`. A row is the same whether it is
   * made from a file or from what the file holds.
   *
   * @param images N paths, bytes of image files (an upload), or pixels, mixed as one likes; they must stay as they are until
   *   the promise is settled
   * @returns float32 (N, D), rows of length 1, on the model's device, without rows of those that `onBad` was told of; it
   *   belongs to the caller
   * @throws ImageError, unless `onBad` is told, naming the image that cannot be read, one without a path by its place; RangeError for
   *   no image at all; TypeError for what is no list of images; UserError naming the images whose embeddings are not finite
   */
  async embed(images: readonly ImageInput[], options: EmbedFilesOptions = {}): Promise<Tensor> {
    if (!Array.isArray(images))
      throw new TypeError(
        `TrainedModel.embed: expected an array of images (paths, bytes or pixels), got ${images instanceof Uint8Array ? 'bytes' : typeof images}`,
      );
    const { batchSize = 64, threads, onProgress, onBad } = options;
    const { reduction } = this.preprocessing;
    const { cropping, transform } = evaluationView({
      ...this.preprocessing,
      input: this.model.backbone.input,
    });
    const count = images.length;
    const read = reduction ? new ReducedImages(images, reduction) : new ImageFiles(images);
    const bad = new Set<number>();
    const batches = new Loader({
      source: new CropSource({ images: read, cropping, threads }),
      labels: new Int32Array(count),
      batches: new InOrderBatches(count, batchSize),
      transform,
      random: new Random(0),
      device: this.device,
      onBad:
        onBad &&
        ((error, place) => {
          bad.add(place);
          onBad(error, place);
        }),
    });
    const nameOf = (row: number) => {
      const place = [...images.keys()].filter((at) => !bad.has(at))[row]!;
      const image = images[place];
      return typeof image === 'string' ? image : `image ${place + 1} of those given`;
    };
    return await embedImages(this.model, batches, {
      nameOf,
      mayBeEmpty: onBad !== undefined && count > 0,
      ...(onProgress && { onProgress }),
    });
  }

  /** Frees the network. */
  dispose(): void {
    this.model.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

function required<Kind extends 'string' | 'number'>(settings: Settings, name: string, kind: Kind) {
  const value = settings[name];
  if (typeof value !== kind)
    throw new UserError(
      `the run's config.json: expected ${name} to be a ${kind}, got ${JSON.stringify(value)}`,
    );
  return value as Kind extends 'string' ? string : number;
}

/** The network of a run's settings; its weights come from the checkpoint. */
function modelOf(settings: Settings): EmbeddingModel {
  const generator = new Generator(0);
  const name = modelNameOf(required(settings, 'arch', 'string'));
  const masks = settings['full-embedding-masks'];
  return openModel(name === 'small-resnet' ? { ...smallResNetOf(settings), name } : name, {
    frozenBatchNorm: true, // in evaluation both kinds are the same
    embeddingDim: required(settings, 'embedding-dim', 'number'),
    pooling: settings['features-pooling'] === 'max' ? 'max' : 'avg',
    fullEmbeddingMasks: masks === 'sum' || masks === 'sum-l1' ? masks : 'none',
    masks: {
      kind: settings.masks === 'fixed' ? 'fixed' : 'learned',
      relu: settings['mask-relu'] !== 'no',
    },
    generator,
  });
}

/** The command line records widths alone, trainEmbedding() all that it was given, as JSON. */
function smallResNetOf(settings: Settings): SmallResNetShape {
  const { 'small-resnet': all, widths } = settings;
  if (typeof all !== 'string')
    return typeof widths === 'string' ? { widths: widths.split(',').map(Number) } : {};
  try {
    return JSON.parse(all) as SmallResNetShape;
  } catch {
    throw new UserError(
      `the run's config.json: expected small-resnet to be JSON, got ${JSON.stringify(all)}`,
    );
  }
}
