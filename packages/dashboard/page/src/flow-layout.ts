import type { DivisionView } from '@conquer-dml/run';
import type { DivisionFlow, LearnerTree } from '../../src/api.js';

/** A cluster at a division; its height is its share of the images. */
export interface FlowBlock {
  column: number;
  /** null: the images in no cluster. */
  cluster: number | null;
  images: number;
  classes: number | null;
  y: number;
  height: number;
}

/** Images that went from a block to one of the next column. */
export interface FlowBand {
  column: number;
  from: number | null;
  to: number | null;
  images: number;
  y0: number;
  y1: number;
  height: number;
}

export interface FlowLayout {
  blocks: FlowBlock[];
  bands: FlowBand[];
  height: number;
}

/** What remains of the height is shared by the gaps between blocks. */
const GAP = 6;
const MIN_HEIGHT = 260;

/**
 * Lays out consecutive divisions as columns of blocks with bands between them: `flows[i]` is between `divisions[i]` and
 * `divisions[i + 1]`.
 */
export function flowLayout(divisions: readonly DivisionView[], flows: readonly DivisionFlow[]): FlowLayout {
  const most = Math.max(1, ...divisions.map(({ numClusters }) => numClusters + 1));
  const height = Math.max(MIN_HEIGHT, most * (GAP + 8));
  const total = Math.max(1, ...divisions.map(({ sizes, leftOut }) => sizes.reduce((a, b) => a + b, leftOut)));
  const scale = (height - GAP * most) / total;
  const columns = divisions.map(({ sizes, classCounts, leftOut }, column) => {
    let y = 0;
    const block = (cluster: number | null, images: number, classes: number | null): FlowBlock => {
      const made = { column, cluster, images, classes, y, height: images * scale };
      y += made.height + GAP;
      return made;
    };
    const blocks = sizes.map((images, cluster) => block(cluster, images, classCounts[cluster] ?? null));
    if (leftOut > 0) blocks.push(block(null, leftOut, null));
    return blocks;
  });
  const bands: FlowBand[] = [];
  for (const [column, { counts }] of flows.entries()) {
    const left = columns[column] ?? [];
    const right = columns[column + 1] ?? [];
    const filled = new Map<FlowBlock, number>();
    const fill = (block: FlowBlock, images: number): number => {
      const before = filled.get(block) ?? 0;
      filled.set(block, before + images * scale);
      return block.y + before;
    };
    const find = (blocks: FlowBlock[], cluster: number | null) =>
      blocks.find((block) => block.cluster === cluster);
    const known = (index: number, clusters: number) => (index < clusters ? index : null);
    for (const [a, row] of counts.entries()) {
      for (const [b, images] of row.entries()) {
        const from = find(left, known(a, counts.length - 1));
        const to = find(right, known(b, row.length - 1));
        if (images === 0 || !from || !to) continue;
        bands.push({
          column,
          from: from.cluster,
          to: to.cluster,
          images,
          y0: fill(from, images),
          y1: fill(to, images),
          height: images * scale,
        });
      }
    }
  }
  return { blocks: columns.flat(), bands, height };
}

export interface TreeNode {
  level: number;
  learner: number;
  images: number;
  classes: number;
  /** Centre, as a share of the width. */
  x: number;
  /** Share of all images. */
  share: number;
}

export interface TreeEdge {
  level: number;
  from: TreeNode;
  to: TreeNode;
  images: number;
}

/** Places each level's learners evenly; children keep below their parents, as they are numbered in that order. */
export function treeLayout(tree: LearnerTree): { nodes: TreeNode[]; edges: TreeEdge[] } {
  const levels = tree.levels.map(({ sizes, classCounts }, level) => {
    const total = Math.max(
      1,
      sizes.reduce((a, b) => a + b, 0),
    );
    return sizes.map((images, learner) => ({
      level,
      learner,
      images,
      classes: classCounts[learner] ?? 0,
      x: (learner + 0.5) / sizes.length,
      share: images / total,
    }));
  });
  const edges = tree.links.flatMap(({ level, from, to, images }) => {
    const [above, below] = [levels[level]?.[from], levels[level + 1]?.[to]];
    return above && below ? [{ level, from: above, to: below, images }] : [];
  });
  return { nodes: levels.flat(), edges };
}
