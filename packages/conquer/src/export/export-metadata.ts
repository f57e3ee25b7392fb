import { type Calibration, RunFolder } from '@conquer-dml/run';
import type { TrainedModel } from '../retrieve/trained-model.js';

/** What is said beside the weights, where it is not the run's own. */
export interface Given {
  calibration?: Calibration | null;
  labels?: readonly string[];
}

/** What a run knows beside its weights; nothing that says where it lay. */
export function knownOf({ id, source }: TrainedModel, given: Given = {}) {
  const run = RunFolder.exists(source) ? RunFolder.open(source) : null;
  const calibration = given.calibration === undefined ? run?.calibration(id) : given.calibration;
  const thresholds = (calibration?.thresholds ?? []).map(({ rate, similarity, found }) => ({
    rate,
    similarity,
    found,
  }));
  const labels = given.labels ?? run?.dataset()?.splits.train?.classNames ?? [];
  return { thresholds, labels };
}

/** The metadata of an exported file: whose weights, what they see, and what the run knows of them. */
export const exportMetadata = (
  model: TrainedModel,
  { thresholds, labels }: ReturnType<typeof knownOf>,
): Record<string, string> => ({
  'conquer.embedder': model.id,
  'conquer.dim': String(model.dim),
  'conquer.view': JSON.stringify(model.view),
  'conquer.thresholds': JSON.stringify(thresholds),
  'conquer.labels': JSON.stringify(labels),
});
