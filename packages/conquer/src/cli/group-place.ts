import { UserError } from '@conquer-dml/run';
import { type GroupPlace, ProcessGroup, ProcessGroupError } from '@conquer-dml/torch';
import { checkStop, type StopCheck } from '../stop-check.js';
import { leaveOnFailure } from '../train/leave-on-failure.js';

/** Seconds that others are waited for without a word. */
const QUIET = 10;
/** Of the environment of a process that launch() started: the id of the one that did. */
export const STARTER = 'CONQUER_STARTER';
/** Seconds in which it ends by itself once that one is gone. */
const PATIENCE = 45;
/** Of the environment: seconds that they are waited for. */
const TIMEOUT = 'CONQUER_GROUP_TIMEOUT';

/**
 * Where this process stands among those that train with it, as torchrun, Kubernetes' PyTorchJob and `--nproc` say it (RANK,
 * WORLD_SIZE, MASTER_ADDR, MASTER_PORT), or srun (SLURM_PROCID, SLURM_NTASKS, where MASTER_ADDR and MASTER_PORT are set).
 *
 * @returns null of one process alone
 * @throws UserError where something is missing, or cannot be
 */
export function groupPlace(env: NodeJS.ProcessEnv): GroupPlace | null {
  const bySlurm = env.RANK === undefined && env.WORLD_SIZE === undefined && env.MASTER_ADDR !== undefined;
  const [rankName, sizeName] = bySlurm
    ? (['SLURM_PROCID', 'SLURM_NTASKS'] as const)
    : (['RANK', 'WORLD_SIZE'] as const);
  if (env[rankName] === undefined && env[sizeName] === undefined) return null;
  const whole = (name: string, least: number, most: number): number => {
    const value = Number(env[name] || Number.NaN);
    if (Number.isInteger(value) && value >= least && value <= most) return value;
    throw new UserError(
      `${name}: expected a whole number from ${least} to ${most}, got ${env[name] ?? 'nothing'}; RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT are set together, as torchrun sets them`,
    );
  };
  const size = whole(sizeName, 1, 65_536);
  const rank = whole(rankName, 0, size - 1);
  if (size === 1) return null;
  const host = env.MASTER_ADDR;
  if (!host) throw new UserError('MASTER_ADDR: expected the machine of rank 0, got nothing');
  // torchrun listens on the port itself then.
  const taken = env.TORCHELASTIC_USE_AGENT_STORE === 'True';
  const timeout = env[TIMEOUT] === undefined ? undefined : Number(env[TIMEOUT] || Number.NaN);
  if (timeout !== undefined && !(timeout > 0 && timeout < 1e8))
    throw new UserError(`${TIMEOUT}: expected seconds above 0, got '${env[TIMEOUT]}'`);
  const port = whole('MASTER_PORT', 1, 65_534) + Number(taken);
  return { host, port, rank, size, ...(timeout !== undefined && { timeout }) };
}

/**
 * Does its part of `work` in the group of those that a place is among, or alone where it is null: joins, and leaves once it is done or
 * fails, of which the others then hear. So it begins before anything that may fail.
 *
 * @param goOn what to do where another process is lost, for the line that says so
 * @throws what `work` throws; Interrupted where `stop` says so while others are waited for; ProcessGroupError where they do not come
 */
export async function inGroup<T>(
  place: GroupPlace | null,
  work: (group: ProcessGroup) => Promise<T>,
  { stop, goOn }: { stop?: StopCheck | undefined; goOn?: string } = {},
): Promise<T> {
  const group = joinGroup(place, stop);
  try {
    const result = await leaveOnFailure(group, () => work(group));
    group.leave();
    return result;
  } catch (error) {
    if (!(error instanceof ProcessGroupError) || goOn === undefined) throw error;
    throw new UserError(`${error.message}; ${goOn}`, { cause: error });
  }
}

/** Says once, on stderr, of whom it waits. */
function joinGroup(place: GroupPlace | null, stop?: StopCheck): ProcessGroup {
  if (place === null) return ProcessGroup.alone();
  endWithStarter(process.env);
  let isTold = false;
  return ProcessGroup.join(place, ({ whom, seconds, timeout }) => {
    checkStop(stop);
    if (isTold || seconds < QUIET) return;
    isTold = true;
    process.stderr.write(
      `note: rank ${place.rank} of ${place.size} waits at ${place.host}:${place.port} for ${whom}, ${timeout} s at most (${TIMEOUT} sets it); Ctrl-C ends it\n`,
    );
  });
}

/** A process that another one started for this (launch()) stops once that one is gone, as Ctrl-C stops it, or is ended. */
function endWithStarter(env: NodeJS.ProcessEnv): void {
  const starter = Number(env[STARTER]);
  if (!starter) return;
  let gone = 0;
  setInterval(() => {
    if (process.ppid === starter) return;
    gone++;
    if (gone === 1) process.kill(process.pid, 'SIGTERM');
    if (gone === PATIENCE) process.kill(process.pid, 'SIGKILL');
  }, 1000).unref();
}

/** Of several cards of a machine the one of this process, by LOCAL_RANK, where the device does not say which. */
export function ownDevice(device: string, env: NodeJS.ProcessEnv): string {
  return device === 'cuda' && env.LOCAL_RANK ? `cuda:${env.LOCAL_RANK}` : device;
}
