import type { Preprocessing } from '@conquer-dml/run';
import type { GraphDifference } from './compare-graph.js';
import type { RetrievalLoss } from './measure-loss.js';

/** A graph that was written. */
export interface ExportedGraph {
  /** Its file, from the folder of the export on. */
  file: string;
  precision: 'float32' | 'half' | 'int8';
  bytes: number;
  /** null: onnxruntime is not there, or it takes no whole pictures. */
  difference: GraphDifference | null;
  /** What a search loses by it; null: not measured. */
  loss: RetrievalLoss | null;
}

export interface ModelCard {
  /** A public name; null: it is somebody's run. */
  name: string | null;
  dim: number;
  parameters: number;
  view: Preprocessing;
  graphs: readonly ExportedGraph[];
  thresholds: readonly { rate: number; similarity: number; found: number }[];
  labels: readonly string[];
  version: string;
}

/** README.md: what the files are, how they are used, and how exact they are. */
export function modelCard({
  name,
  dim,
  parameters,
  view,
  graphs,
  thresholds,
  labels,
  version,
}: ModelCard): string {
  const shown = graphs.map(({ file, precision, bytes, difference }) => {
    const cos = (value: number | null | undefined) => (value == null ? '–' : value.toFixed(7));
    return `| \`${file}\` | ${precision} | ${(bytes / 1e6).toFixed(1)} | ${cos(difference?.cosPixels)} | ${cos(difference?.cosFile)} |`;
  });
  return `---
library_name: onnx
pipeline_tag: image-feature-extraction
tags: [image-retrieval, metric-learning, conquer]
---

# ${name ?? 'An image embedding'}

Pictures in, vectors of ${dim} numbers and length 1 out: the more alike two pictures, the nearer 1 their product. Written by conquer ${version}, ${(parameters / 1e6).toFixed(1)} million parameters.

| file | precision | MB | least cosine to the model, same pixels | same file |
|---|---|---|---|---|
${shown.join('\n')}

- \`image.onnx\` takes \`image\`, uint8 (batch, height, width, 3), RGB as a decoder gives it with its orientation applied: pictures of one size in a batch.
  It cuts, resizes and normalises in the graph, as Pillow does. Out comes \`embedding\`, float32 (batch, ${dim}); a row of zeros stays zeros.
- \`onnx/model.onnx\` takes \`pixel_values\`, float32 (batch, 3, ${view.size}, ${view.size}), for transformers.js (\`image-feature-extraction\`); out comes \`logits\`, the same vector.
  transformers.js resizes otherwise than Pillow, so that its vectors of large pictures are others: do not mix them with those of \`image.onnx\`, which it runs too.

What the network sees: ${view.size} × ${view.size} pixels, out of a ${view.squash ? 'square' : 'short side'} of ${view.resize}, ${view.input.interpolation}, ${view.input.channels}, mean ${view.input.mean.join(', ')}, std ${view.input.std.join(', ')}.

\`\`\`js
import { InferenceSession, Tensor } from 'onnxruntime-node';
const session = await InferenceSession.create('image.onnx');
// sharp(file).rotate().removeAlpha().raw() gives these
const { embedding } = await session.run({ image: new Tensor('uint8', pixels, [1, height, width, 3]) });
\`\`\`
${thresholds.length === 0 ? '' : `\n## Thresholds\n\n| false-match rate | similarity | finds |\n|---|---|---|\n${thresholds.map(({ rate, similarity, found }) => `| ${rate} | ${similarity.toFixed(4)} | ${found.toFixed(3)} |`).join('\n')}\n`}${labels.length === 0 ? '' : `\nTrained on ${labels.length} classes; their names are in the files' metadata (\`conquer.labels\`).\n`}`;
}
