import { UserError } from '@conquer-dml/run';
import type { GroupPlace } from '@conquer-dml/torch';

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
  return { host, port: whole('MASTER_PORT', 1, 65_534) + Number(taken), rank, size };
}

/** Of several cards of a machine the one of this process, by LOCAL_RANK, where the device does not say which. */
export function ownDevice(device: string, env: NodeJS.ProcessEnv): string {
  return device === 'cuda' && env.LOCAL_RANK ? `cuda:${env.LOCAL_RANK}` : device;
}
