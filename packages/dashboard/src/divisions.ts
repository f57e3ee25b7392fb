import type { Division, DivisionView } from '@conquer-dml/run';
import type { DivisionFlow, LearnerTree } from './api.js';

/** The divisions of a run, what moved between them, and how learners came from learners. */
export class DivisionHistory {
  readonly views: DivisionView[] = [];
  readonly flows: DivisionFlow[] = [];
  private last: Division | null = null;

  add(division: Division): DivisionView {
    const { clusters: _, ...view } = division;
    if (this.last) this.flows.push(flowBetween(this.last, division));
    this.last = division;
    this.views.push(view);
    return view;
  }

  tree(): LearnerTree {
    const tree: LearnerTree = { levels: [], links: [] };
    for (const [i, { epoch, numClusters, sizes, classCounts }] of this.views.entries()) {
      const level = tree.levels.at(-1);
      if (level?.numLearners === numClusters) {
        Object.assign(level, { toEpoch: epoch, sizes, classCounts });
        continue;
      }
      if (level)
        tree.links.push(...linksBetween(tree.levels.length - 1, level.numLearners, this.flows[i - 1]));
      tree.levels.push({ numLearners: numClusters, fromEpoch: epoch, toEpoch: epoch, sizes, classCounts });
    }
    return tree;
  }
}

function flowBetween(before: Division, after: Division): DivisionFlow {
  const counts = Array.from({ length: before.numClusters + 1 }, () =>
    new Array<number>(after.numClusters + 1).fill(0),
  );
  const images = Math.min(before.clusters.length, after.clusters.length);
  for (let image = 0; image < images; image++) {
    const from = before.clusters[image] as number;
    const to = after.clusters[image] as number;
    const row = counts[from === -1 ? before.numClusters : from] as number[];
    const column = to === -1 ? after.numClusters : to;
    row[column] = (row[column] as number) + 1;
  }
  return { fromEpoch: before.epoch, toEpoch: after.epoch, counts };
}

/**
 * At a doubling the learners 2c and 2c + 1 begin as copies of learner c; bottom-up, c begins from both. Between numbers
 * that are no multiples of each other there is no such descent.
 */
function linksBetween(level: number, before: number, flow: DivisionFlow | undefined): LearnerTree['links'] {
  if (!flow) return [];
  const after = (flow.counts[0]?.length ?? 1) - 1;
  const links: LearnerTree['links'] = [];
  const link = (from: number, to: number) =>
    links.push({ level, from, to, images: flow.counts[from]?.[to] ?? 0 });
  if (after % before === 0) for (let to = 0; to < after; to++) link(Math.floor(to / (after / before)), to);
  else if (before % after === 0)
    for (let from = 0; from < before; from++) link(from, Math.floor(from / (before / after)));
  return links;
}
