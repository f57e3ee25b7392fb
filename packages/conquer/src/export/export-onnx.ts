import { join } from 'node:path';
import type { RawPixels } from '@conquer-dml/image';
import { type Calibration, UserError, writeFileAtomic } from '@conquer-dml/run';
import { cat, type Tensor } from '@conquer-dml/torch';
import { imagesAsSeen, plainBatches } from '../data/plain-batches.js';
import { type OptionNames, refuseUnknownOptions } from '../known-options.js';
import type { TrainedModel } from '../retrieve/trained-model.js';
import { VERSION } from '../version.js';
import { compareGraph } from './compare-graph.js';
import { exportMetadata, knownOf } from './export-metadata.js';
import { makeFolder, removeEarlier, requireExportFolder } from './make-folder.js';
import { type LabelledPhotos, measureLoss } from './measure-loss.js';
import { withMergedAdapters } from './merged-adapters.js';
import { type ExportedGraph, modelCard } from './model-card.js';
import type { Graph } from './onnx/graph.js';
import { halfGraph } from './onnx/half.js';
import { int8Graph, ValueRanges } from './onnx/int8.js';
import { type GraphInput, modelGraph } from './onnx/model-graph.js';
import { MOST_BYTES, onnxFile } from './onnx/onnx-file.js';
import { drawnPictures } from './photo-pixels.js';
import { preprocessorConfig, transformersConfig } from './transformers-layout.js';

export interface ExportOnnxOptions {
  /** Paths of photos that the graph is compared with the model on; default a few drawn pictures. */
  photos?: readonly string[];
  /** Whose thresholds go into the files; default those of the model's run, where it is calibrated. */
  calibration?: Calibration | null;
  /** Names of the classes that it was trained on, for the files; default those of the model's run. */
  labels?: readonly string[];
  /** Writes both in half precision too, as `image_fp16.onnx` and `onnx/model_fp16.onnx`; they take and give the same. */
  half?: boolean;
  /**
   * Writes both in 8 bits too, as `image_int8.onnx` and `onnx/model_quantized.onnx`, calibrated on `photos`, three or more of which
   * are wanted then.
   */
  int8?: boolean;
  /** Photos of known classes, on which it is measured what a search loses by half precision and by 8 bits. */
  labelled?: LabelledPhotos;
  /** Told of each graph as soon as it is written and compared. */
  onGraph?: (graph: ExportedGraph) => void;
}

const optionNames: OptionNames<ExportOnnxOptions> = {
  photos: true,
  calibration: true,
  labels: true,
  half: true,
  int8: true,
  labelled: true,
  onGraph: true,
};

/** What was written. */
export interface ExportedModel {
  folder: string;
  /** Of all files, from the folder on. */
  files: string[];
  graphs: ExportedGraph[];
}

/**
 * Writes a model as ONNX: `image.onnx`, which takes pictures as a decoder gives them (uint8) and has all in one graph, and beside it
 * transformers.js's layout (`onnx/model.onnx`, config.json, preprocessor_config.json), and a model card (README.md). Each graph has
 * a dynamic batch, opset 20, and needs no file but itself. Where onnxruntime-node is installed it runs on photos, and its rows are
 * compared with the model's.
 *
 * @param folder is made where it is not there; files of these names are replaced
 * @throws UserError where the folder cannot be written to, or the weights are too many for one file (2 GB)
 * @throws Error for a network of one's own that does what has no place in ONNX here, naming it
 */
export async function exportOnnx(
  model: TrainedModel,
  folder: string,
  options: ExportOnnxOptions = {},
): Promise<ExportedModel> {
  refuseUnknownOptions('exportOnnx', options, optionNames);
  const { photos = [], onGraph } = options;
  const known = knownOf(model, options);
  const { thresholds, labels } = known;
  const pictures: readonly (string | RawPixels)[] = photos.length > 0 ? photos : drawnPictures();
  const metadata = exportMetadata(model, known);
  const files: string[] = [];
  const graphs: ExportedGraph[] = [];
  const write = (file: string, contents: string | readonly Uint8Array[]) => {
    writeFileAtomic(join(folder, file), contents);
    files.push(file);
  };
  if (options.int8 && photos.length < 3)
    throw new UserError(
      `8 bits are calibrated on photos: expected three or more of them (photos), got ${photos.length}`,
    );
  requireExportFolder(folder);
  makeFolder(join(folder, 'onnx'));
  const add = async (file: string, graph: Graph, precision: ExportedGraph['precision'] = 'float32') => {
    const parts = onnxFile(graph, { producer: 'conquer', version: VERSION, metadata });
    const bytes = parts.reduce((sum, { length }) => sum + length, 0);
    if (bytes > MOST_BYTES)
      throw new UserError(
        `the graph has ${(bytes / 2 ** 30).toFixed(1)} GiB, and an ONNX file at most 2: expected a smaller network`,
      );
    write(file, parts);
    const isWhole = graph.inputs[0]?.name === 'image';
    const difference = isWhole ? await compareGraph(model, join(folder, file), pictures) : null;
    const isMeasured = isWhole && precision !== 'float32' && options.labelled !== undefined;
    const loss = isMeasured ? await measureLoss(model, join(folder, file), options.labelled!) : null;
    const exported: ExportedGraph = { file, precision, bytes, difference, loss };
    graphs.push(exported);
    onGraph?.(exported);
  };
  const graphOf = (input: GraphInput, ranges?: ValueRanges, images?: Tensor) =>
    withMergedAdapters(model.model, async () =>
      modelGraph(model.model, input, {
        output: input === 'image' ? 'embedding' : 'logits',
        ...(ranges && { onValue: ranges.take, images }),
      }),
    );
  for (const [input, file] of [
    ['image', 'image'],
    ['pixel_values', 'onnx/model'],
  ] as const) {
    const { graph, network } = await graphOf(input);
    await add(`${file}.onnx`, graph);
    if (options.half) await add(`${file}_fp16.onnx`, halfGraph(graph, network), 'half');
    if (!options.int8) continue;
    const ranges = new ValueRanges();
    using images = await asSeen(model, photos);
    const calibrated = await graphOf(input, ranges, images);
    const quantized = int8Graph(calibrated.graph, calibrated.network, ranges);
    await add(input === 'image' ? 'image_int8.onnx' : 'onnx/model_quantized.onnx', quantized, 'int8');
  }
  write('config.json', json(transformersConfig(model.dim)));
  write('preprocessor_config.json', json(preprocessorConfig(model.view)));
  const { view, dim } = model;
  const parameters = model.model.parameters().reduce((sum, parameter) => sum + parameter.numel(), 0);
  const name = publicNameOf(model);
  write(
    'README.md',
    modelCard({ name, dim, parameters, view, graphs, thresholds, labels, version: VERSION }),
  );
  removeEarlier(folder, files);
  return { folder, files, graphs };
}

/** Photos as the network sees them, (N, 3, size, size), which belong to the caller. */
async function asSeen({ view, device }: TrainedModel, photos: readonly string[]): Promise<Tensor> {
  const batches: Tensor[] = [];
  for await (const { images } of plainBatches(imagesAsSeen(photos, view), view, { device }))
    batches.push(images.clone());
  const all = cat(batches);
  for (const batch of batches) batch.dispose();
  return all;
}

const json = (value: object) => `${JSON.stringify(value, null, 2)}\n`;

/** null where its source is a path. */
const publicNameOf = ({ source, checkpoint }: TrainedModel): string | null =>
  checkpoint !== null || source.startsWith('/') || /^[A-Za-z]:|\\/.test(source) ? null : source;
