import { appendFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { expect, it } from 'vitest';
import { GrowingLines } from './growing-lines.js';

it('gives lines when they are whole, counts damaged ones, and tells when the file was cut back', async () => {
  const folder = temporaryFolder();
  const file = join(folder, 'log.jsonl');
  const lines = new GrowingLines(file, (value) => (typeof value === 'number' ? value : null));
  expect(await lines.poll()).toEqual({ reset: false, at: 0, added: [] });
  writeFileSync(file, '1\n2\n"x"\n{\n3');
  expect(await lines.poll()).toEqual({ reset: false, at: 0, added: [1, 2] });
  appendFileSync(file, '4\n');
  expect(await lines.poll()).toEqual({ reset: false, at: 2, added: [34] });
  expect([lines.count, lines.damaged]).toEqual([3, 2]);
  writeFileSync(file, '5\n');
  expect(await lines.poll()).toEqual({ reset: true, at: 0, added: [5] });
  rmSync(file);
  expect(await lines.poll()).toEqual({ reset: true, at: 0, added: [] });
  // A link may lead out of the run.
  writeFileSync(join(folder, 'other'), '6\n');
  symlinkSync(join(folder, 'other'), file);
  expect(await lines.poll()).toEqual({ reset: false, at: 0, added: [] });
});
