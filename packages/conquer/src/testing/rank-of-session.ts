import { createHash } from 'node:crypto';
import { cat, ProcessGroup, type Tensor } from '@conquer-dml/torch';
import type { Batch } from '../data/loader.js';
import type { TrainingData } from '../data/training-data.js';
import type { ExperimentInput } from '../experiment/experiment.js';
import { runEpochs } from '../train/loop.js';
import { imagesData, smallSession } from './small-session.js';

/** What each process of a group trains. */
export interface RankedSession {
  run: string;
  experiment?: ExperimentInput;
  epochs?: number;
  resume?: boolean;
  dtype?: 'float32' | 'float64';
  /** Steps after which all are to stop, as this rank says. */
  stopAfter?: { rank: number; steps: number };
  /** The step before which this rank's process is gone. */
  killBefore?: { rank: number; step: number };
}

/** What came of it at one of them. */
export interface RankedResult {
  rank: number;
  /** Metric loss, mask loss and number of tuples by steps; null where one was skipped. */
  steps: (number | null)[][];
  /** By name. */
  weights: Record<string, number[]>;
  /** Of all rows that are remembered, with whose they are; where there is a memory. */
  memory: string | null;
  /** Recall@1 by epochs. */
  recalls: (number | undefined)[];
  error: string | null;
}

/** Trains a small session as one of a group. */
export async function runRank(group: ProcessGroup, session: RankedSession): Promise<RankedResult> {
  const { run, experiment, epochs, resume, dtype = 'float32', stopAfter, killBefore } = session;
  const result: RankedResult = {
    rank: group.rank,
    steps: [],
    weights: {},
    memory: null,
    recalls: [],
    error: null,
  };
  const abort = new AbortController();
  const isRank = (of?: { rank: number }) => of?.rank === group.rank;
  const { parts, free } = smallSession(run, {
    ...(experiment && { experiment }),
    ...(epochs !== undefined && { epochs }),
    ...(resume && { resume }),
    group,
    dtype,
    data: inType(dtype),
    signal: abort.signal,
    observer: {
      onStep: ({ result: { metricLoss, maskLoss, numTuples } }) => {
        result.steps.push([metricLoss, maskLoss, numTuples]);
        if (isRank(stopAfter) && result.steps.length === stopAfter!.steps) abort.abort();
        if (isRank(killBefore) && result.steps.length === killBefore!.step)
          process.kill(process.pid, 'SIGKILL');
      },
      onEpochEnd: ({ metrics }) => void result.recalls.push(metrics?.['R@1']),
    },
  });
  try {
    await runEpochs(parts);
  } catch (error) {
    result.error = `${(error as Error).name}: ${(error as Error).message}`;
  }
  for (const [name, tensor] of parts.model.stateDict()) result.weights[name] = [...tensor.toNumbers()];
  for (const [name, tensor] of parts.loss.stateDict())
    result.weights[`loss.${name}`] = [...tensor.toNumbers()];
  const remembered = parts.memory?.saved();
  if (remembered) {
    const hash = createHash('sha256').update(JSON.stringify(remembered.state));
    for (const [name, tensor] of remembered.tensors) hash.update(name).update(tensor.toTypedArray());
    result.memory = hash.digest('hex');
  }
  free();
  return result;
}

/** The session's images, without what is drawn for batches: each process draws that for itself. */
function inType(dtype: 'float32' | 'float64'): TrainingData {
  const data = imagesData();
  const converted = ({ images, ...batch }: Batch): Batch => ({ ...batch, images: images.to(dtype) });
  return {
    ...data,
    async *augmented(batches, _, done) {
      for (const indices of batches.slice(done)) {
        const images: Tensor[] = [];
        for (const from of indices)
          for await (const image of data.plain('train', { from, count: 1 })) images.push(image.images);
        const labels = indices.map((image) => data.trainLabels[image]!);
        yield converted({ images: cat(images), labels, indices });
      }
    },
    async *plain(...args) {
      for await (const batch of data.plain(...args)) yield converted(batch);
    },
  };
}

// As a program: one process of a group, which prints its result.
if (process.env.CONQUER_RANKED_SESSION !== undefined) {
  const { RANK, WORLD_SIZE, MASTER_PORT, CONQUER_RANKED_SESSION } = process.env;
  const place = {
    host: '127.0.0.1',
    port: Number(MASTER_PORT),
    rank: Number(RANK),
    size: Number(WORLD_SIZE),
  };
  const group = ProcessGroup.join({ ...place, timeout: 120, silence: 20 });
  const result = await runRank(group, JSON.parse(CONQUER_RANKED_SESSION) as RankedSession);
  group.leave();
  process.stdout.write(`${JSON.stringify(result)}\n`);
}
