import { relative } from 'node:path';
import { DamagedFile, type MapRead, type RunFolder, readMap } from '@conquer-dml/run';
import type { LearnerChoice, MapPoints } from './api.js';
import type { Retrieval } from './retrieval.js';

/** A run has no map that could be shown; the message names the command that makes one. */
export class NoMap extends Error {}

/** The map of a run's test images that `conquer map` kept in it. @throws NoMap */
export async function keptMap(
  folder: RunFolder,
  { embedding, correctness }: Retrieval,
  learner: LearnerChoice,
): Promise<MapPoints> {
  const path = relative('', folder.path) || '.';
  const named = `conquer map ${/^[\w./-]+$/.test(path) ? path : JSON.stringify(path)}`;
  const command = learner === 'full' ? named : `${named} (asked for the learners’ too)`;
  const { fingerprint, places, version, epoch, queries, clusters } = embedding;
  let kept: MapRead | 'absent' | 'outdated';
  try {
    const rows = places?.of ?? embedding.numQueries;
    kept = await readMap(folder.mapFile(learner), { of: fingerprint, rows });
  } catch (error) {
    if (!(error instanceof DamagedFile)) throw error;
    throw new NoMap(`The map that is kept cannot be read: ${error.message}. Make it anew: ${command}`);
  }
  if (kept === 'absent')
    throw new NoMap(
      learner === 'full'
        ? `This run keeps no map of its test images yet; a run makes one at its end. To make it now: ${command}`
        : `This run keeps no map of this learner’s embedding. To make it: ${command}`,
    );
  if (kept === 'outdated')
    throw new NoMap(`The map that is kept is of earlier embeddings of this run. To make it anew: ${command}`);
  const shown = (values: Float32Array) =>
    places ? Float32Array.from(places.rows, (row) => values[row] as number) : values;
  return {
    version,
    epoch,
    learner,
    x: shown(kept.x),
    y: shown(kept.y),
    labels: queries.labels,
    clusters,
    ...correctness,
  };
}
