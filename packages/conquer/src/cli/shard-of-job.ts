import { UserError } from '@conquer-dml/run';
import type { Shard } from '../retrieve/embeddings/shard.js';

/**
 * Which part of the work this process is to do, by what Kubernetes (an indexed Job: `JOB_COMPLETION_INDEX`, from 0) or Slurm (an
 * array: `SLURM_ARRAY_TASK_ID` with its least, step and count) tell it.
 *
 * @param count of shards, which Kubernetes does not tell; null: not said
 * @returns null where neither tells anything
 * @throws UserError where the number cannot be one of so many, or of Kubernetes' how many there are is not said
 */
export function shardOfJob(env: NodeJS.ProcessEnv, count: number | null): Shard | null {
  const index = env.JOB_COMPLETION_INDEX;
  if (index !== undefined && index !== '') {
    if (count === null)
      throw new UserError(
        `JOB_COMPLETION_INDEX is ${index}, of how many is not said: give the Job's completions with --shards`,
      );
    return shard(Number(index) + 1, count, `JOB_COMPLETION_INDEX ${index}`);
  }
  const task = env.SLURM_ARRAY_TASK_ID;
  if (task === undefined || task === '') {
    if (count === null) return null;
    throw new UserError(
      '--shards: which one this is comes from JOB_COMPLETION_INDEX or SLURM_ARRAY_TASK_ID, and neither is set: use --shard i/n',
    );
  }
  const [least, step] = [Number(env.SLURM_ARRAY_TASK_MIN ?? 0), Number(env.SLURM_ARRAY_TASK_STEP ?? 1)];
  const all = count ?? Number(env.SLURM_ARRAY_TASK_COUNT);
  return shard((Number(task) - least) / step + 1, all, `SLURM_ARRAY_TASK_ID ${task}`);
}

function shard(number: number, count: number, what: string): Shard {
  if (Number.isInteger(number) && Number.isInteger(count) && number >= 1 && number <= count)
    return { number, count };
  throw new UserError(`${what}: expected one of ${count} shards, got number ${number} of them`);
}
