import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type ImageError, ImageFiles, type ImageInput, ReducedImages } from '@conquer/image';
import { type Preprocessing, RunFolder } from '@conquer/run';
import { Generator, type Tensor } from '@conquer/torch';
import { CropSource } from '../data/crop-source.js';
import { InOrderBatches } from '../data/in-order.js';
import { Loader } from '../data/loader.js';
import { evaluationView } from '../data/view.js';
import { prepareDevice } from '../device.js';
import { buildNetwork, preprocessingIn } from '../experiment/build.js';
import type { ExperimentInput, Parts } from '../experiment/experiment.js';
import { resolveExperiment } from '../experiment/resolve.js';
import { type OptionNames, refuseUnknownOptions } from '../known-options.js';
import type { Backbone } from '../models/backbone.js';
import type { EmbeddingModel } from '../models/embedding-model.js';
import type { FeatureModule } from '../models/own-backbone.js';
import { Random } from '../random.js';
import { disposeCheckpoint } from '../train/checkpoint.js';
import { embedImages } from '../train/embed.js';
import { loadCheckpointOf, loadModel } from '../train/run-checkpoint.js';

export interface OpenTrainedModelOptions {
  /** Which weights of the run; default 'best'. */
  checkpoint?: 'best' | 'last';
  /** Where the model goes: 'cpu' (default), 'cuda:0', … */
  device?: string;
  /** What names mean, for a run that was trained with parts of one's own. */
  parts?: Parts;
  /** For a run that was trained with a backbone of one's own: it, untrained; it becomes the model's. */
  backbone?: Backbone | FeatureModule;
}

/** All of its options. */
const optionNames: OptionNames<OpenTrainedModelOptions> = {
  checkpoint: true,
  device: true,
  parts: true,
  backbone: true,
};

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
    const { checkpoint = 'best', device = 'cpu', parts, backbone } = options;
    prepareDevice(device);
    const run = RunFolder.open(path);
    const { checkpoint: saved, file } = loadCheckpointOf(run, checkpoint, path);
    try {
      const stored = resolveExperiment(run.experiment() as ExperimentInput, parts);
      const experiment = { ...stored, train: { ...stored.train, device } };
      const generators = { generator: new Generator(0), dropoutGenerator: new Generator(0, device) };
      const builder = { ...(parts && { parts }), own: { ...(backbone && { backbone }) } };
      const model = buildNetwork(experiment, generators, builder);
      try {
        loadModel(model, saved, { file, run });
      } catch (error) {
        model.dispose();
        throw error;
      }
      model.eval();
      return new TrainedModel(
        model,
        run.path,
        createHash('sha256').update(readFileSync(file)).digest('hex'),
        checkpoint,
        preprocessingIn(experiment, builder),
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
