import type { EpochRecord } from '@conquer-dml/run';
import { evaluateModel, type ModelEvaluation } from '../evaluate/evaluate-model.js';
import type { Session } from './session.js';
import { learnerMasks, surroundings, writeTestEmbeddings } from './test-embeddings.js';

type Found = Pick<EpochRecord, 'metrics' | 'validation' | 'collapsed'>;

/** What the evaluation of an epoch found. */
export interface EvaluatedEpoch {
  found: Found;
  isBest: boolean;
  seconds: number;
  /** Writes the embeddings down where they are the best epoch's, and frees them. */
  keep(): Promise<void>;
}

async function evaluate(session: Session, split: 'test' | 'validation'): Promise<ModelEvaluation> {
  const { model, loss, data, dataset, experiment, signal, profile, observer, group } = session.parts;
  return await evaluateModel(model, data, {
    split,
    ball: loss.ball,
    recallAt: dataset.recallAt,
    metrics: ['usual', ...experiment.evaluate.metrics],
    prefixes: experiment.model.prefixes,
    signal,
    profile,
    group,
    onProgress: (progress) => observer.onEmbed?.({ purpose: 'evaluate', ...progress }),
  });
}

/** What the work gives; where it fails, as when it is interrupted, the evaluation's tensors are freed. */
async function orDispose<T>(evaluated: ModelEvaluation | null, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    evaluated?.dispose();
    throw error;
  }
}

async function validate(session: Session): Promise<Pick<EpochRecord, 'validation'>> {
  if (!session.parts.data.validationLabels) return {};
  const { metrics, dispose } = await evaluate(session, 'validation');
  dispose();
  return { validation: metrics };
}

/** The network before training, as epoch -1. */
export async function evaluateUntrained(session: Session): Promise<void> {
  const { run, observer } = session.parts;
  const stopClock = session.clock.start('evaluate');
  const { metrics, collapsed, dispose } = await evaluate(session, 'test');
  dispose();
  const record: EpochRecord = {
    epoch: -1,
    metrics,
    ...(await validate(session)),
    ...(collapsed && { collapsed }),
    seconds: { evaluate: stopClock() },
  };
  run.appendEpoch(record);
  observer.onEpochEnd?.(record, false);
}

/** The network as the epoch left it, on the test and validation classes where there are some. */
export async function evaluateEpoch(session: Session, epoch: number): Promise<EvaluatedEpoch> {
  const { model, run, signal, group } = session.parts;
  const stopClock = session.clock.start('evaluate');
  const { evaluated, validation } = await session.asKept(async () => {
    const evaluated = session.measures ? await evaluate(session, 'test') : null;
    return { evaluated, validation: await orDispose(evaluated, () => validate(session)) };
  });
  const metrics = evaluated?.metrics ?? null;
  const found: Found = { metrics, ...validation, ...(evaluated?.collapsed && { collapsed: true }) };
  if (evaluated === null) return { found, isBest: false, seconds: stopClock(), async keep() {} };
  const isBest = session.isBest(found);
  // What a page shows is looked for only in embeddings that stay.
  const around =
    isBest && group.isFirst
      ? await orDispose(evaluated, () => surroundings(evaluated, model.numLearners, signal))
      : null;
  return {
    found,
    isBest,
    seconds: stopClock(),
    async keep() {
      const write = async () => {
        if (!around) return;
        using masks = learnerMasks(model);
        writeTestEmbeddings(run.embeddingsFile, { ...evaluated, masks, around, epoch });
      };
      await session.asKept(write);
      evaluated.dispose();
    },
  };
}
