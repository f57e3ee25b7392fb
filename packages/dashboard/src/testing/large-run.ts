import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fingerprintOf, MAP_FORMAT, toStore } from '@conquer-dml/run';

/** Classes of a large run; of the image with the number i it is i % CLASSES. */
export const CLASSES = 200;

/**
 * Writes a run of so many test images and a map of them: its classes are discs around places on a spiral, one image in a hundred and one
 * lies in another's. It has no pictures.
 */
export function writeLargeRun(path: string, points: number): void {
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, 'config.json'), JSON.stringify(toStore({ train: { epochs: 1 } })));
  writeFileSync(join(path, 'metrics.jsonl'), `${JSON.stringify({ epoch: 0, metrics: { 'R@1': 0.99 } })}\n`);
  const labels = Int32Array.from({ length: points }, (_, i) => i % CLASSES);
  const [x, y] = [new Float32Array(points), new Float32Array(points)];
  const embeddings = new Float32Array(2 * points);
  const neighbours = new Int32Array(points);
  for (let i = 0; i < points; i++) {
    const near = i % 101 === 0 ? (i * 31 + 7) % CLASSES : (labels[i] as number);
    // Vogel's spirals: of the classes, and of the points of each.
    const place = spiral(near, CLASSES, 0.92);
    const within = spiral(Math.floor(i / CLASSES), points / CLASSES, 0.05);
    x[i] = place[0] + within[0];
    y[i] = place[1] + within[1];
    embeddings.set([Math.cos(near), Math.sin(near)], 2 * i);
    neighbours[i] = near === i % CLASSES ? (i + CLASSES) % points : near;
  }
  const file = (name: string, tensors: Tensors, metadata: Record<string, string>) =>
    writeFileSync(join(path, name), safetensorsBytes(tensors, metadata));
  file(
    'embeddings.safetensors',
    {
      embeddings: { shape: [points, 2], values: embeddings },
      labels: { shape: [points], values: labels },
      neighbours: { shape: [points, 1], values: neighbours },
      distances: { shape: [points, 1], values: new Float32Array(points) },
      clusters: { shape: [points], values: labels.map((label) => label % 8) },
    },
    { epoch: '0' },
  );
  file(
    'map-full.safetensors',
    { x: { shape: [points], values: x }, y: { shape: [points], values: y } },
    { format: MAP_FORMAT, embeddings: fingerprintOf({ vectors: embeddings, labels }) },
  );
}

function spiral(i: number, of: number, radius: number): [number, number] {
  const [length, angle] = [radius * Math.sqrt((i + 0.5) / of), i * 2.399963];
  return [length * Math.cos(angle), length * Math.sin(angle)];
}

type Tensors = Record<string, { shape: number[]; values: Float32Array | Int32Array }>;

export function safetensorsBytes(tensors: Tensors, metadata: Record<string, string>): Buffer {
  const header: Record<string, unknown> = { __metadata__: metadata };
  const data: Buffer[] = [];
  let offset = 0;
  for (const [name, { shape, values }] of Object.entries(tensors)) {
    const { buffer, byteOffset, byteLength } = values;
    const dtype = values instanceof Float32Array ? 'F32' : 'I32';
    header[name] = { dtype, shape, data_offsets: [offset, offset + byteLength] };
    offset += byteLength;
    data.push(Buffer.from(buffer, byteOffset, byteLength));
  }
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, ...data]);
}
