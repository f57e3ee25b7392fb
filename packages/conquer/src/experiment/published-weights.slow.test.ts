import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { HubServer, useHub } from '@conquer-dml/testing/hub-server';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { Generator, scope, writeSafetensors } from '@conquer-dml/torch';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createBackbone } from '../models/create-model.js';
import { OptionError } from '../option-error.js';
import { buildModel } from './build.js';
import type { ExperimentInput } from './experiment.js';
import { resolveExperiment } from './resolve.js';

const TINY = 'vit_tiny_patch16_224.augreg_in21k';
let folder = '';
let hub: HubServer;
let leaveHub = () => {};

beforeEach(async () => {
  folder = temporaryFolder();
  hub = await HubServer.start();
  leaveHub = useHub(hub, join(folder, 'hf'));
});
afterEach(async () => {
  await hub.close();
  leaveHub();
});

const build = (model: ExperimentInput['model']) =>
  buildModel(
    resolveExperiment({
      model: { embeddingDim: 8, weights: 'published', ...model },
      divide: { numLearners: 1 },
    }),
    { generator: new Generator(1), dropoutGenerator: new Generator(2) },
    {},
  );

it('published weights are those of the name, and what learns beside them is added afterwards', async () => {
  using source = createBackbone(TINY, { generator: new Generator(9) });
  const file = join(folder, 'model.safetensors');
  scope(() => writeSafetensors(file, source.stateDict()));
  hub.repositories.set(`timm/${TINY}`, {
    files: {
      'config.json': '{"architecture": "vit_tiny_patch16_224"}',
      'model.safetensors': readFileSync(file),
    },
    license: 'apache-2.0',
  });
  for (const name of ['full', 'lora', 'prompts'] as const) {
    using model = await build({ backbone: { name: TINY }, tuning: { name } });
    const state = model.backbone.stateDict();
    for (const [own, value] of source.stateDict())
      expect(state.get(own)!.sub(value).abs().max().item(), own).toBe(0);
    expect(state.size - source.stateDict().size, name).toBe({ full: 0, lora: 12 * 4 * 2, prompts: 12 }[name]);
  }
});

it('where none are published, or the hub has none, it says so by the option', async () => {
  for (const [backbone, words] of [
    [{ name: 'small-resnet', widths: [4] }, /no weights are published under the name small-resnet/],
    [{ name: TINY }, /timm\/vit_tiny_patch16_224\.augreg_in21k/],
  ] as const) {
    const error = await build({ backbone: { ...backbone } as never }).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(OptionError);
    expect(error).toMatchObject({ path: 'model.weights', message: expect.stringMatching(words) });
  }
});
