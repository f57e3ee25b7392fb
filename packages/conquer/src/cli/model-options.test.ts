import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { UserError } from '@conquer/run';
import { Generator, noGrad, writePth } from '@conquer/torch';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { modelOf } from './assemble.js';
import { resolveSettings } from './options.js';

const small = { arch: 'small-resnet', widths: '4,8', 'embedding-dim': 16 };

/** The model of these settings, from one seed. */
function open(settings: Record<string, unknown>) {
  const resolved = resolveSettings(small, settings);
  return modelOf(resolved, new Generator(1), new Generator(1), process.stderr);
}

async function weightOf(settings: Record<string, unknown>): Promise<number[]> {
  using model = await open(settings);
  return [...model.embedding.weight.toNumbers()];
}

describe('--embedding-init', () => {
  it('and its gain and split reach the embedding', async () => {
    using model = await open({ 'embedding-init': 'truncated-normal' });
    for (const value of model.embedding.bias?.toNumbers() ?? []) expect(value).toBeCloseTo(0.1, 6);

    const xavier = { 'embedding-init': 'xavier-uniform' };
    const one = await weightOf(xavier);
    const three = await weightOf({ ...xavier, 'embedding-init-gain': 3 });
    for (const [i, value] of three.entries()) expect(value).toBeCloseTo(3 * (one[i] as number), 5);

    // With 4 learners of 4 rows the bound is sqrt(6 / (8 + 4)), not sqrt(6 / (8 + 16)).
    const split = await weightOf({ ...xavier, 'embedding-init-split': 'yes', 'num-learners': 4 });
    expect(Math.max(...one.map(Math.abs))).toBeLessThanOrEqual(0.5);
    expect(Math.max(...split.map(Math.abs))).toBeGreaterThan(0.6);
  });
});

describe('--weights', () => {
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'conquer-weights-'));
    vi.stubEnv('CONQUER_CACHE', folder);
  });
  afterEach(() => {
    vi.unstubAllEnvs();
    rmSync(folder, { recursive: true });
  });

  it('FILE fills the backbone', async () => {
    using source = await open({});
    noGrad(() => source.backbone.parameters()[0]?.fill_(0.25));
    const file = join(folder, 'a.pth');
    writePth(file, source.backbone.stateDict());
    using model = await open({ weights: file });
    expect(
      model.backbone
        .parameters()[0]
        ?.toNumbers()
        .every((value) => value === 0.25),
    ).toBe(true);
  });

  it('imagenet says what to fetch where there is no network, or nothing to fetch', async () => {
    vi.stubEnv('CONQUER_WEIGHTS_URL', 'http://127.0.0.1:9/mirror');
    const error = await open({ arch: 'resnet18', weights: 'imagenet' }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(UserError);
    expect((error as Error).message).toContain('http://127.0.0.1:9/mirror/resnet18-f37072fd.pth cannot be');
    expect((error as Error).message).toContain(join(folder, 'weights', 'resnet18-f37072fd.pth'));
    await expect(open({ weights: 'imagenet' })).rejects.toThrow(/no ImageNet weights for small-resnet/);
  });
});
