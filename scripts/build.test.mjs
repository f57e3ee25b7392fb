import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { expect, test } from 'vitest';
import { removeStale } from './build.mjs';

test('what was compiled of sources that are gone is removed, and nothing else', () => {
  const folder = temporaryFolder();
  const kept = ['src/a.ts', 'src/in/b.ts', 'dist/a.js', 'dist/a.d.ts', 'dist/in/b.js', 'dist/.tsbuildinfo'];
  const others = ['dist/bundle/c.js', 'dist/page/assets/d.js', 'dist/help.txt'];
  const stale = ['dist/c.js', 'dist/in/a.js', 'dist/in/c.d.ts', 'dist/in/b.js.map'];
  for (const file of [...kept, ...others, ...stale]) {
    mkdirSync(join(folder, file, '..'), { recursive: true });
    writeFileSync(join(folder, file), '');
  }
  removeStale(folder);
  const left = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  expect(left.map(({ parentPath, name }) => join(parentPath, name)).sort()).toEqual(
    [...kept, ...others].map((file) => join(folder, file)).sort(),
  );
});
