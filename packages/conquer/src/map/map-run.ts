import {
  DamagedFile,
  type EmbeddingsRead,
  MAP_FORMAT,
  type RunFolder,
  readEmbeddings,
  UserError,
} from '@conquer-dml/run';
import { F, noGrad, scope, type Tensor, tensor, writeSafetensors } from '@conquer-dml/torch';
import type { StopCheck } from '../stop-check.js';
import { mapRows, type RowMap } from './map-rows.js';

export interface MapRunOptions {
  /** Of each learner's embedding, too. */
  learners?: boolean | undefined;
  /** Asked for each map, with what it is of. */
  onPreparation?: ((what: string) => (progress: { done: number; total: number }) => void) | undefined;
  /** Ends the work, with Interrupted; maps that were written by then stay. */
  stop?: StopCheck | undefined;
}

/** A map that was kept. */
export interface KeptMap {
  file: string;
  learner: 'full' | number;
  /** Test images. */
  points: number;
}

/**
 * Maps the test images of a run in the plane, as its best epoch embedded them, and keeps that in the run, from where the dashboard
 * reads it.
 *
 * @throws UserError for a run without embeddings, or whose embeddings are damaged; Interrupted after `stop`
 */
export async function mapRun(run: RunFolder, options: MapRunOptions = {}): Promise<KeptMap[]> {
  const { learners = false, onPreparation, stop } = options;
  const read = await embeddingsOf(run);
  const chosen = ['full' as const, ...Array.from({ length: learners ? read.numLearners : 0 }, (_, i) => i)];
  const kept: KeptMap[] = [];
  for (const learner of chosen) {
    const rows = seenBy(read, learner);
    try {
      const map = await mapRows(rows, {
        neighbours: learner === 'full' ? known(read) : undefined,
        stop,
        onProgress: onPreparation?.(
          learner === 'full' ? 'laying out the embedding' : `laying out that of learner ${learner + 1}`,
        ),
      });
      const file = run.mapFile(learner);
      writeMap(file, map, read.fingerprint);
      kept.push({ file, learner, points: map.x.length });
    } finally {
      rows.dispose();
    }
  }
  return kept;
}

async function embeddingsOf(run: RunFolder): Promise<EmbeddingsRead> {
  let read: EmbeddingsRead | null;
  try {
    read = await readEmbeddings(run);
  } catch (error) {
    if (!(error instanceof DamagedFile)) throw error;
    throw new UserError(`${run.embeddingsFile} cannot be read: ${error.message}`);
  }
  if (read === null)
    throw new UserError(
      `${run.path} has no embeddings to map: a run writes them at its first evaluation, on all classes none`,
    );
  return read;
}

/** (N, D) the test images as a learner sees them, each of length 1; the caller disposes them. */
function seenBy({ queries, dim, masks }: EmbeddingsRead, learner: 'full' | number): Tensor {
  return scope(() =>
    noGrad(() => {
      const rows = tensor(queries.vectors, { shape: [queries.labels.length, dim] });
      const masked =
        learner === 'full' ? rows : rows.mul(tensor(masks.slice(learner * dim, (learner + 1) * dim)));
      return F.normalize(masked).contiguous().keep();
    }),
  );
}

/** The neighbours that the file holds; with a gallery they are not among the test images that are mapped. */
function known({ gallery, neighbours: { neighbours, distances, depth } }: EmbeddingsRead) {
  return gallery ? undefined : { k: depth, indices: neighbours, distances };
}

/** @param of the fingerprint of what is mapped @throws UserError where it cannot be written */
export function writeMap(file: string, { x, y }: RowMap, of: string): void {
  scope(() => {
    const tensors = new Map([
      ['x', tensor(x)],
      ['y', tensor(y)],
    ]);
    writeSafetensors(file, tensors, { format: MAP_FORMAT, embeddings: of });
  });
}
