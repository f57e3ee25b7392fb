import { expect, it } from 'vitest';
import { groupPlace, ownDevice } from './group-place.js';

const torchrun = { RANK: '1', WORLD_SIZE: '4', MASTER_ADDR: 'one', MASTER_PORT: '29500' };
const place = { host: 'one', port: 29500, rank: 1, size: 4 };

it('reads what torchrun and srun say', () => {
  expect(groupPlace({})).toBe(null);
  expect(groupPlace({ ...torchrun, RANK: '0', WORLD_SIZE: '1' })).toBe(null);
  expect(groupPlace(torchrun)).toEqual(place);
  expect(groupPlace({ ...torchrun, TORCHELASTIC_USE_AGENT_STORE: 'True' })).toEqual({
    ...place,
    port: 29501,
  });
  const srun = { SLURM_PROCID: '1', SLURM_NTASKS: '4' };
  expect(groupPlace(srun)).toBe(null);
  expect(groupPlace({ ...srun, MASTER_ADDR: 'one', MASTER_PORT: '29500' })).toEqual(place);
  expect(groupPlace({ ...srun, ...torchrun, RANK: '2' })).toEqual({ ...place, rank: 2 });
});

it('waits as long as it is told', () => {
  expect(groupPlace({ ...torchrun, CONQUER_GROUP_TIMEOUT: '90.5' })).toEqual({ ...place, timeout: 90.5 });
  for (const text of ['', '0', 'long'])
    expect(() => groupPlace({ ...torchrun, CONQUER_GROUP_TIMEOUT: text })).toThrow(
      `CONQUER_GROUP_TIMEOUT: expected seconds above 0, got '${text}'`,
    );
});

it('says what is missing or cannot be', () => {
  expect(() => groupPlace({ ...torchrun, WORLD_SIZE: undefined })).toThrow(/^WORLD_SIZE: .*got nothing/);
  expect(() => groupPlace({ ...torchrun, RANK: '4' })).toThrow(/^RANK: expected .* from 0 to 3, got 4/);
  expect(() => groupPlace({ ...torchrun, RANK: 'one' })).toThrow(/^RANK: .*got one/);
  expect(() => groupPlace({ ...torchrun, MASTER_ADDR: '' })).toThrow(/^MASTER_ADDR: /);
  expect(() => groupPlace({ ...torchrun, MASTER_PORT: undefined })).toThrow(/^MASTER_PORT: .*got nothing/);
});

it('gives each process of a machine its card', () => {
  expect(ownDevice('cuda', { LOCAL_RANK: '3' })).toBe('cuda:3');
  expect(ownDevice('cuda:1', { LOCAL_RANK: '3' })).toBe('cuda:1');
  expect(ownDevice('cpu', { LOCAL_RANK: '3' })).toBe('cpu');
  expect(ownDevice('cuda', {})).toBe('cuda');
});
