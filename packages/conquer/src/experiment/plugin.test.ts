import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { expect, it } from 'vitest';
import { flagsOf } from '../cli/flags.js';
import { builtInParts } from './experiment.js';
import { withPlugins } from './plugin.js';
import { resolveExperiment } from './resolve.js';

const folder = temporaryFolder();
const zod = fileURLToPath(import.meta.resolve('zod'));

function plugin(name: string, contents: string): string {
  const file = join(folder, name);
  writeFileSync(file, contents);
  return file;
}
const lossNamed = (name: string) => `
  import { z } from ${JSON.stringify(zod)};
  const options = z.strictObject({ weight: z.number().min(0).default(2).describe('of the whole') });
  export const losses = [{ name: ${JSON.stringify(name)}, help: 'mine', usesTuples: false, learns: false, options, build: () => null }];
`;

it('adds its parts to those there are, which stay as they were', async () => {
  const before = builtInParts.losses.length;
  const parts = await withPlugins(builtInParts, [
    plugin('a.mjs', lossNamed('mine')),
    plugin('b.mjs', lossNamed('yours')),
  ]);
  expect(parts.losses.map(({ name }) => name).slice(-2)).toEqual(['mine', 'yours']);
  expect(builtInParts.losses).toHaveLength(before);
  expect(parts.miners).toEqual(builtInParts.miners);
  const loss = { name: 'mine', weight: 3 } as unknown as { name: 'margin' };
  expect(resolveExperiment({ loss }, parts).loss).toEqual({ name: 'mine', weight: 3 });
  expect(() => resolveExperiment({ loss: { ...loss, weight: -1 } as never }, parts)).toThrow(
    'loss.weight: expected a number of at least 0, got -1',
  );
  expect(() => resolveExperiment({ loss })).toThrow(/loss\.name: expected one of margin, .*, got "mine"/);
  const flag = flagsOf(parts).find(({ name }) => name === 'mine-weight');
  expect(flag).toMatchObject({ help: 'mine: of the whole', default: '2', kind: 'number' });
});

it.each([
  ['gone.mjs', null, /^the plugin .*gone\.mjs cannot be imported: .*Cannot find module/],
  ['broken.mjs', 'export const losses = [', /^the plugin .*broken\.mjs cannot be imported: /],
  ['throws.mjs', "throw new Error('not today')", /cannot be imported: not today/],
  [
    'empty.mjs',
    'export const other = 1',
    /has no parts: expected it to export a list such as losses = .*miners/,
  ],
  ['text.mjs', "export const losses = 'mine'", /: expected losses to be a list of what part\(\) made/],
  [
    'no-part.mjs',
    "export const miners = [{ name: 'x' }]",
    /: expected miners to be a list of what part\(\) made/,
  ],
  ['null.mjs', 'export const miners = [null]', /: expected miners to be a list of what part\(\) made/],
  ['taken.mjs', lossNamed('margin'), /: there is a part named margin among the losses already/],
  [
    'twice.mjs',
    `${lossNamed('a')}losses.push(losses[0]);`,
    /: there is a part named a among the losses already/,
  ],
])('%s is refused in a line', async (name, contents, message) => {
  const file = contents === null ? join(folder, name) : plugin(name, contents);
  const error = await withPlugins(builtInParts, [file]).catch((reason: unknown) => reason as Error);
  expect(error).toMatchObject({ name: 'UserError', message: expect.stringMatching(message) });
});
