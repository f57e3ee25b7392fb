import { type Calibration, RunFolder } from '@conquer-dml/run';
import type { Embedder } from './embedder.js';

/** What its run knows of a model's similarities; null: nothing, or it is of no run. */
export function calibrationOfModel({ source, id }: Pick<Embedder, 'source' | 'id'>): Calibration | null {
  return source && RunFolder.exists(source) ? RunFolder.open(source).calibration(id) : null;
}
