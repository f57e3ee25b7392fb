import { UserError } from '@conquer-dml/run';
import { type ProcessGroup, showConfig, torchVersion } from '@conquer-dml/torch';
import type { Dataset } from '../datasets/dataset.js';
import { recordOf } from '../datasets/dataset-record.js';
import type { Experiment } from '../experiment/experiment.js';

/**
 * Sees to it that something is at every process as at rank 0.
 *
 * @param what in an error: 'the experiment'
 * @param value goes through JSON
 * @throws UserError where it is not
 */
export function requireSame(group: ProcessGroup, what: string, value: unknown): void {
  if (group.size === 1) return;
  const own = JSON.stringify(value);
  const first = group.broadcastObject(() => own);
  if (own === first) return;
  const short = (text: string) => (text.length > 80 ? `${text.slice(0, 80)}…` : text);
  throw new UserError(
    `${what} is another at rank ${group.rank} than at rank 0: expected ${short(first)}, got ${short(own)}; all processes need the same command, data and versions, and see the same run folder`,
  );
}

/** Sees to it that all processes train the same, on machines that compute alike. @throws UserError where they do not */
export function requireSameWork(group: ProcessGroup, experiment: Experiment, dataset: Dataset): void {
  const { data, train, ...rest } = experiment;
  // Where the images lie, and what computes, are each machine's own.
  const { dataset: _, ...ofData } = data;
  const { device: __, threads: ___, ...ofTrain } = train;
  requireSame(group, 'the experiment', { ...rest, data: ofData, train: ofTrain });
  requireSame(group, 'the data set', recordOf(dataset).sha256);
  requireSame(group, 'libtorch', torchVersion());
  // The miner would find other tuples where distances are rounded otherwise (ATEN_CPU_CAPABILITY chooses less).
  requireSame(
    group,
    "the processor's instruction set",
    /CPU capability usage: (\w+)/.exec(showConfig())?.[1],
  );
}
