import type { Division } from '@conquer-dml/run';
import { divide, undivided } from '../divide/division.js';
import type { ScheduledEpoch } from '../divide/schedule.js';
import { embedImages } from '../evaluate/embed.js';
import { Random } from '../random.js';
import type { Session } from './session.js';

/**
 * Divides the training set anew, as it lies in the present embedding space.
 *
 * @returns the seconds that it took
 * @throws Interrupted where the training is to end: nothing has changed then
 */
export async function redivide(
  session: Session,
  epoch: number,
  plan: ScheduledEpoch,
): Promise<{ divide: number }> {
  const { experiment, model, data, random, run, signal, profile, observer } = session.parts;
  const { clusterLayer, clusterSeed, clustering, recluster, clusterBy } = experiment.divide;
  const { trainLabels } = data;
  const pairs = data.pairs?.train;
  const stopClock = session.clock.start('divide');
  let division: Division;
  if (plan.numLearners === 1) {
    division = undivided(trainLabels, epoch, pairs);
  } else {
    using features = await embedImages(model, data.plain('train'), {
      layer: clusterLayer,
      signal,
      profile,
      onProgress: (done) => observer.onEmbed?.({ purpose: 'divide', done, total: trainLabels.length }),
    });
    division = divide({
      features,
      labels: trainLabels,
      pairs,
      previous: session.division,
      numClusters: plan.numClusters,
      numLearners: plan.numLearners,
      clusterBy,
      clustering,
      recluster,
      epoch,
      random: clusterSeed === null ? random : new Random(clusterSeed),
      compat: experiment.compat,
      stop: signal,
    });
  }
  session.setDivision(division);
  const seconds = stopClock();
  run.appendDivision(division);
  observer.onDivision?.(division);
  return { divide: seconds };
}
