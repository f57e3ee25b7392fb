import { finite, isEpoch, isFields, numbersByName } from './fields.js';
import { type Metrics, metricsOf } from './metrics.js';
import { type EpochProfile, profileOf } from './profile.js';

/** One line of metrics.jsonl: what one epoch did. Epoch -1 is the network before training: metrics only. */
export interface EpochRecord {
  /** Counted from 0; -1: before training. */
  epoch: number;
  /** Retrieval and clustering on the unseen classes, fractions by name; null where the epoch was not evaluated. */
  metrics: Metrics | null;
  /** The same on the classes that were set aside for validation, where some were. */
  validation?: Metrics;
  /** Mean over the epoch's steps that trained. */
  metricLoss?: number;
  /** Mean over the epoch's steps that trained, lambda included. */
  maskLoss?: number;
  /** Steps of the epoch, skipped ones included. */
  steps?: number;
  /** Steps without a single tuple, which trained nothing. */
  skipped?: number;
  /** Steps that trained on tuples whose loss was 0: nothing was learnt of them. */
  zeroLoss?: number;
  /** Of the images of batches with a miner, the share that was the anchor of no tuple, 0…1. */
  anchorsWithoutTuples?: number;
  /** Training images seen in the epoch. */
  images?: number;
  /** How many different ones: a sampler may repeat some of the training set and leave others out. */
  differentImages?: number;
  numLearners?: number;
  /** Whether the whole embedding trained, without masks. */
  fullEmbedding?: boolean;
  backboneFrozen?: boolean;
  /** Learning rate by parameter group, at the epoch's last step. */
  learningRates?: Record<string, number>;
  /** The test embeddings are all but one point; not there where they are not. */
  collapsed?: true;
  /** Wall-clock seconds of the epoch's parts. */
  seconds: { divide?: number; train?: number; evaluate?: number };
  /** Where the time went, for a run that was profiled. */
  profile?: EpochProfile;
}

/** A line of metrics.jsonl; null for what is none. @param value as JSON.parse gives it */
export function epochRecordOf(value: unknown): EpochRecord | null {
  if (!isFields(value) || !isEpoch(value.epoch)) return null;
  const [metrics, validation] = [metricsOf(value.metrics), metricsOf(value.validation)];
  if (metrics === undefined || validation === undefined) return null;
  const record: EpochRecord = { epoch: value.epoch, metrics, seconds: numbersByName(value.seconds) ?? {} };
  if (validation) record.validation = validation;
  for (const name of [
    'metricLoss',
    'maskLoss',
    'steps',
    'skipped',
    'zeroLoss',
    'anchorsWithoutTuples',
    'images',
    'differentImages',
    'numLearners',
  ] as const) {
    const number = finite(value[name]);
    if (number !== null) record[name] = number;
  }
  for (const name of ['fullEmbedding', 'backboneFrozen'] as const) {
    if (typeof value[name] === 'boolean') record[name] = value[name];
  }
  if (value.collapsed === true) record.collapsed = true;
  const learningRates = numbersByName(value.learningRates);
  if (learningRates) record.learningRates = learningRates;
  const profile = profileOf(value.profile);
  if (profile) record.profile = profile;
  return record;
}
