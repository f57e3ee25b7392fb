import { isSeenAlike, type Preprocessing } from '@conquer-dml/run';
import type { EmbeddingModel } from './embedding-model.js';

/** What a file of weights has to say for the weights to mean what they did: kept beside them in every checkpoint. */
export interface NetworkRecord {
  /** The backbone's name, of published weights with their tag. */
  backbone: string;
  /** What it is made of, where it says it: patches, pooling, place of the norms, activation, eps. */
  shape?: object;
  /** Of maps and tokens; a backbone that gives vectors has its own. */
  pooling: string;
  /** What it is given of an image: size, crop, filter, mean and deviation. */
  view: Preprocessing;
}

export function networkRecord({ backbone, pooling, view }: EmbeddingModel): NetworkRecord {
  const shape = shapeOf(backbone);
  return { backbone: backbone.name, ...(shape && { shape }), pooling, view };
}

/** What is not as the record has it, in words; null: all is. A run goes by its backbone's name, which may come to mean another. */
export function otherThanRecorded(record: NetworkRecord, model: EmbeddingModel): string | null {
  const now = networkRecord(model);
  const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);
  if (record.backbone !== now.backbone) return `its backbone was ${record.backbone}, not ${now.backbone}`;
  if (record.shape && now.shape && !same(sorted(record.shape), sorted(now.shape)))
    return `${now.backbone} was made as ${JSON.stringify(record.shape)}, not ${JSON.stringify(now.shape)}`;
  if (record.pooling !== now.pooling) return `its pooling was ${record.pooling}, not ${now.pooling}`;
  if (!isSeenAlike(record.view, now.view))
    return `it was given images as ${JSON.stringify(record.view)}, not ${JSON.stringify(now.view)}`;
  return null;
}

const sorted = (shape: object) => Object.entries(shape).sort(([a], [b]) => (a < b ? -1 : 1));

function shapeOf(backbone: object): object | null {
  const { shape } = backbone as { shape?: unknown };
  return typeof shape === 'object' ? shape : null;
}
