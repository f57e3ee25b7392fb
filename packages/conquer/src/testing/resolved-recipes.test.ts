import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { conquer } from './small-run.js';

// What the recipes and the authors' flags come to, frozen: a default that moves, or a flag that is lost, is an experiment
// that changed. A recipe that is changed on purpose is changed in the fixture too. The program is asked (dist/ must be current).

type Settings = Record<string, string | number | null>;
interface Frozen {
  /** Every flag: kind, default, choices and range, as they were. */
  flags: Record<string, { default: string | number | null }>;
  recipes: Record<string, Settings>;
  oldFlags: { args: string[]; settings: Settings }[];
}
const file = new URL('../../test/fixtures/runs/resolved-recipes.json', import.meta.url);
const frozen: Frozen = JSON.parse(readFileSync(fileURLToPath(file), 'utf8'));

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'conquer-recipes-'));
  // No cache, so that emoji are not drawn for this.
  writeFileSync(join(folder, 'cache'), '');
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Its lines are: flag, value, where from; spaces between. Those of flags that came later are left out. */
async function settingsOf(args: string[], names: string[]): Promise<Record<string, string>> {
  // The data set need not be there: it is opened after they are printed.
  const { stdout } = await conquer(['train', ...args, '--dry-run'], { folder });
  const lines = stdout.split('\n').flatMap((line) => {
    const [, name = '', value = ''] = /^--(\S+)\s+(.*?)\s+(default|recipe|flag|old flags)$/.exec(line) ?? [];
    return names.includes(name) ? [[name, value]] : [];
  });
  return Object.fromEntries(lines);
}

const shown = (settings: Settings) =>
  Object.fromEntries(Object.entries(settings).map(([name, value]) => [name, String(value ?? '-')]));

async function expectSettings(args: string[], settings: Settings) {
  expect(await settingsOf(args, Object.keys(settings))).toEqual(shown(settings));
}

describe('settings', () => {
  it('have the flags and defaults that they had', async () => {
    const flags = Object.entries(frozen.flags);
    const defaults = Object.fromEntries(flags.map(([name, spec]) => [name, spec.default]));
    await expectSettings(['--dataset', 'folder'], { ...defaults, dataset: 'folder' });
  });

  it.each(Object.entries(frozen.recipes))('of the recipe %s are the same', async (name, settings) => {
    await expectSettings(['--recipe', name], settings);
  });

  it.each(frozen.oldFlags)('of the old flags $args.0 $args.1 … are the same', async ({ args, settings }) => {
    await expectSettings(args, settings);
  });
});
