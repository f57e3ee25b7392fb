import { expect, test } from 'vitest';
import { fromSource } from './experiment-library.mjs';
import { counted, tableOf, written } from './network-sizes.mjs';

test('what the list of models says of their sizes is what the networks have', async () => {
  const { backbones } = await fromSource('models/backbones/backbones');
  const { createBackbone } = await fromSource('models/create-model');
  const squeezed = (text) => text.replaceAll(/\s|,(?=\s*})/g, '');
  const table = tableOf(counted({ backbones, createBackbone }));
  expect(squeezed(written()), 'node scripts/network-sizes.mjs --write').toBe(squeezed(table));
}, 300_000);
