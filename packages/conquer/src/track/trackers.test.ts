import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { buildNamed } from '../named-part.js';
import type { TrackerPart } from './tracker.js';
import { trackers } from './trackers.js';

const parts: readonly TrackerPart[] = trackers;
const given: Record<string, object> = {
  wandb: { project: 'birds' },
  mlflow: { url: 'http://localhost:5000' },
};

beforeEach(() => vi.stubEnv('WANDB_API_KEY', 'k'.repeat(40)));
afterEach(() => vi.unstubAllEnvs());

it.each(parts.map(({ name }) => name))('%s: builds, and refuses other options by the path', (name) => {
  const build = (more: object) => buildNamed(parts, { name, ...given[name], ...more }, {}, 'track.0');
  expect(build({}).name).toMatch(/^(TensorBoard|Weights & Biases|MLflow)$/);
  expect(() => build({ colour: 'red' })).toThrow('track.0.colour: unknown option');
});

it.each([
  ['wandb', { project: 'a/b/c' }, "track.0.project: expected PROJECT or ENTITY/PROJECT, got 'a/b/c'"],
  [
    'wandb',
    { project: undefined },
    'track.0.project: expected PROJECT or ENTITY/PROJECT; needs WANDB_API_KEY, got nothing',
  ],
  [
    'mlflow',
    { url: 'nowhere' },
    "track.0.url: expected an address such as http://localhost:5000, got 'nowhere'",
  ],
  ['mlflow', { url: 'http://me:secret@host' }, 'track.0.url: leave name and password out of the address'],
])('%s refuses %o', (name, options, message) => {
  expect(() => buildNamed(parts, { name, ...options }, {}, 'track.0')).toThrow(message);
});

it("without a key of one's account wandb says what to do", () => {
  vi.stubEnv('WANDB_API_KEY', '');
  expect(() => buildNamed(parts, { name: 'wandb', ...given.wandb }, {}, 'track.0')).toThrow(
    'set WANDB_API_KEY',
  );
});
