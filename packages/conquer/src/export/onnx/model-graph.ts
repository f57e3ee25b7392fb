import { randn, type Tensor } from '@conquer-dml/torch';
import type { EmbeddingNetwork } from '../../models/embedding-network.js';
import { Graph } from './graph.js';
import { preprocessingInto } from './preprocessing.js';
import { type OnValue, traceInto } from './trace.js';

/**
 * What a graph is given: 'image' pixels of pictures of one size, uint8 (batch, height, width, 3) in RGB; 'pixel_values' what the
 * network sees, float32 (batch, 3, size, size), as transformers.js hands it over.
 */
export type GraphInput = 'image' | 'pixel_values';

/** A graph, and where in it the network begins: the nodes before that make of a picture what the network sees. */
export interface ModelGraph {
  graph: Graph;
  network: number;
}

export interface ModelGraphOptions {
  /** What is traced with, in place of noise: three images or more as the network sees them, (batch, 3, size, size). */
  images?: Tensor | undefined;
  /** Told of each value that the network computes of them. */
  onValue?: OnValue | undefined;
  /** The name of the rows; default 'embedding'. */
  output?: string | undefined;
}

/**
 * A network in evaluation mode as an ONNX graph: pictures in, rows of length 1 out, float32 (batch, D).
 *
 * @throws Error for what the network does that has no place in ONNX here
 */
export function modelGraph(
  network: EmbeddingNetwork,
  input: GraphInput,
  { images, onValue, output = 'embedding' }: ModelGraphOptions = {},
): ModelGraph {
  const graph = new Graph();
  const { size } = network.view;
  let seen = input as string;
  if (input === 'image') {
    graph.inputs.push({ name: input, type: 'uint8', shape: ['batch', 'height', 'width', 3] });
    seen = preprocessingInto(graph, input, network.view);
  } else graph.inputs.push({ name: input, type: 'float32', shape: ['batch', 3, size, size] });
  const begins = graph.nodes.length;
  const [parameter] = network.parameters();
  const noise = (batch: number) => {
    const images = randn([batch, 3, size, size]);
    return parameter === undefined ? images : images.to({ device: parameter.device });
  };
  const rows = traceInto(
    graph,
    seen,
    {
      forward: (x) => network.embed(x),
      images: images ? (batch) => images.narrow(0, 0, batch) : noise,
      ...(images && { batches: [2, images.size(0)] as const }),
    },
    onValue,
  );
  graph.add('Identity', [rows], {}, output);
  graph.outputs.push({ name: output, type: 'float32', shape: ['batch', network.embeddingDim] });
  return { graph, network: begins };
}
