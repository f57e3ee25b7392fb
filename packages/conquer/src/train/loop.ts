import type { EpochRecord, Summary } from '@conquer-dml/run';
import { ProcessGroupError } from '@conquer-dml/torch';
import { Interrupted } from '../interrupted.js';
import { Epoch } from './epoch.js';
import { evaluateEpoch, evaluateUntrained } from './evaluate-epoch.js';
import { redivide } from './redivide.js';
import { Session, type SessionParts } from './session.js';

/**
 * Divide and conquer, as in algorithm 1 of Sanakoyeu, Ma, Tschernezki, Ommer, "Improving Deep Metric Learning by Divide and
 * Conquer" (arXiv 2109.04003). The model and optimiser are trained in place; logs and checkpoints are in the run folder.
 *
 * @returns the best and the last epoch's metrics, and where the checkpoints are
 * @throws Interrupted after `signal` was aborted; every step that was finished is in the last checkpoint
 * @throws UserError when nothing can be learnt from the data, a loss or gradient is not finite (see `train.onNan`),
 *   the run folder cannot be written, or a run is resumed that cannot go on, see `Session`
 */
export async function runEpochs(parts: SessionParts): Promise<Summary> {
  const session = new Session(parts);
  try {
    return await divideAndConquer(session);
  } catch (error) {
    // Long work gives up half-way: it has changed nothing, and is done again when the run goes on. A process that waits for one
    // that has given up hears only that it left.
    const othersGaveUp = error instanceof ProcessGroupError && parts.signal?.aborted;
    if (error instanceof Interrupted || othersGaveUp) session.stop();
    throw error;
  }
}

async function divideAndConquer(session: Session): Promise<Summary> {
  const { schedule, optimizer, model, observer, profile, experiment, run, signal, group } = session.parts;
  observer.onStart?.();
  if (session.isNew && session.measures && experiment.evaluate.untrained) await evaluateUntrained(session);
  if (session.firstEpoch < session.epochs) await session.parts.data.prepare?.();
  profile?.take(); // the evaluation before training is no epoch's

  for (let epoch = session.firstEpoch; epoch < session.epochs; epoch++) {
    if (group.any(signal?.aborted ?? false)) throw new Interrupted('stopped between two epochs');
    const plan = schedule.at(epoch);
    const begun = session.position !== null;

    // Divide: cluster the training set in the present embedding space; each cluster becomes a learner's.
    const took = plan.redivide && !begun ? await redivide(session, epoch, plan) : {};

    // Join: from the full-embedding phase on the masks are left out and no longer trained.
    if (plan.fullEmbedding) session.leaveMasksOut();

    // Conquer: each learner trains on its cluster, in turn; the full embedding on the whole training set.
    const alone = experiment.divide.freezeMasksWithOneLearner && model.numLearners === 1;
    optimizer.freeze('backbone', plan.freezeBackbone);
    optimizer.freeze('masks', alone);
    const trained = await new Epoch(session, epoch, plan, took).train();

    // Evaluate on unseen classes, and keep the best.
    const { found, isBest, seconds, keep } = await evaluateEpoch(session, epoch);
    const record: EpochRecord = {
      epoch,
      ...trained,
      ...found,
      numLearners: model.numLearners,
      fullEmbedding: plan.fullEmbedding,
      backboneFrozen: plan.freezeBackbone,
      seconds: { ...trained.seconds, evaluate: seconds },
      ...(profile && { profile: profile.take() }),
    };
    session.endEpoch(record, isBest);
    run.appendMasks(epoch, model.learnerMasks.toLists());
    await keep();
    session.saveEpoch(epoch, isBest);
    observer.onEpochEnd?.(record, isBest);
  }
  return session.finish();
}
