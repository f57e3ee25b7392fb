import { expect, it } from 'vitest';
import { shardOfJob } from './shard-of-job.js';

it.each([
  [{}, null, null],
  [{ JOB_COMPLETION_INDEX: '' }, null, null],
  [{ JOB_COMPLETION_INDEX: '0' }, 4, { number: 1, count: 4 }],
  [{ JOB_COMPLETION_INDEX: '3' }, 4, { number: 4, count: 4 }],
  [
    { SLURM_ARRAY_TASK_ID: '0', SLURM_ARRAY_TASK_MIN: '0', SLURM_ARRAY_TASK_COUNT: '3' },
    null,
    { number: 1, count: 3 },
  ],
  // sbatch --array=1-7:2
  [
    {
      SLURM_ARRAY_TASK_ID: '5',
      SLURM_ARRAY_TASK_MIN: '1',
      SLURM_ARRAY_TASK_STEP: '2',
      SLURM_ARRAY_TASK_COUNT: '4',
    },
    null,
    { number: 3, count: 4 },
  ],
])('of %o with %o is %o', (env, count, shard) => {
  expect(shardOfJob(env, count)).toEqual(shard);
});

it.each([
  [{ JOB_COMPLETION_INDEX: '2' }, null, /of how many is not said: .*--shards/],
  [{ JOB_COMPLETION_INDEX: '4' }, 4, /JOB_COMPLETION_INDEX 4: expected one of 4 shards/],
  [{}, 4, /neither is set: use --shard i\/n/],
  [{ SLURM_ARRAY_TASK_ID: '3' }, null, /SLURM_ARRAY_TASK_ID 3/],
  // --array=1,5,9 has no step.
  [
    { SLURM_ARRAY_TASK_ID: '9', SLURM_ARRAY_TASK_MIN: '1', SLURM_ARRAY_TASK_COUNT: '3' },
    null,
    /expected one of 3 shards/,
  ],
])('refuses %o with %o', (env, count, message) => {
  expect(() => shardOfJob(env, count)).toThrow(message);
});
