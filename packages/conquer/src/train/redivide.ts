import type { Division } from '@conquer-dml/run';
import { divide, undivided } from '../divide/division.js';
import type { ScheduledEpoch } from '../divide/schedule.js';
import { embedImages } from '../evaluate/embed.js';
import { Random } from '../random.js';
import type { Session } from './session.js';

/**
 * Divides the training set anew, as it lies in the present embedding space.
 *
 * Of several processes each embeds its part of the images, and rank 0 divides them.
 *
 * @returns the seconds that it took
 * @throws Interrupted where the training is to end: nothing has changed then
 */
export async function redivide(
  session: Session,
  epoch: number,
  plan: ScheduledEpoch,
): Promise<{ divide: number }> {
  const { experiment, model, data, random, run, signal, profile, observer, group } = session.parts;
  const { clusterLayer, clusterSeed, clustering, recluster, clusterBy, clusterSample } = experiment.divide;
  const { trainLabels } = data;
  const total = trainLabels.length;
  const pairs = data.pairs?.train;
  const stopClock = session.clock.start('divide');
  let division: Division;
  if (plan.numLearners === 1) {
    division = undivided(trainLabels, epoch, pairs);
  } else {
    using features = await embedImages(model, data.plain('train', group.share(trainLabels.length)), {
      layer: clusterLayer,
      signal,
      profile,
      group,
      onProgress: (done) =>
        observer.onEmbed?.({ purpose: 'divide', done: Math.min(done * group.size, total), total }),
    });
    const found = group.broadcastObject(() => {
      const { clusters, ...found } = divide({
        features,
        labels: trainLabels,
        pairs,
        previous: session.division,
        numClusters: plan.numClusters,
        numLearners: plan.numLearners,
        clusterBy,
        clusterSample,
        clustering,
        recluster,
        epoch,
        random: clusterSeed === null ? random : new Random(clusterSeed),
        compat: experiment.compat,
        stop: signal,
      });
      return { ...found, clusters: [...clusters], random: random.getState() };
    });
    const { random: goesOnFrom, clusters, ...rest } = found;
    random.setState(goesOnFrom);
    division = { ...rest, clusters: Int32Array.from(clusters) };
  }
  session.setDivision(division);
  const seconds = stopClock();
  run.appendDivision(division);
  observer.onDivision?.(division);
  return { divide: seconds };
}
