import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { beforeEach, expect, it } from 'vitest';
import { UserError } from './error.js';
import { lockHolder, takeLock } from './run-lock.js';

let folder: string;
let file: string;
beforeEach(() => {
  folder = temporaryFolder();
  file = join(folder, 'running.json');
});

it('is had by one at a time, who is named to the other', () => {
  const unlock = takeLock(file, 'runs/a');
  expect(lockHolder(file)).toMatchObject({ pid: process.pid });
  const { since } = JSON.parse(readFileSync(file, 'utf8')) as { since: string };
  expect(() => takeLock(file, 'runs/a')).toThrow(
    new UserError(
      `runs/a is being trained by process ${process.pid} since ${since}: wait for it, or choose another name`,
    ),
  );
  unlock();
  takeLock(file, 'runs/a')();
  expect(readdirSync(folder)).toEqual([]);
});

it('is taken over from the dead, from one whose number another process has now, and from half a file', async () => {
  const child = spawn(process.execPath, ['-e', '']);
  await new Promise((resolve) => child.on('close', resolve));
  const stale = [
    JSON.stringify({ pid: child.pid, since: 'then' }),
    JSON.stringify({ pid: process.pid, since: 'then', started: '1' }),
    '{"pid":',
    '',
    '{"pid":"x"}',
    'null',
  ];
  for (const text of existsSync('/proc/self/stat') ? stale : stale.filter((s) => !s.includes('started'))) {
    writeFileSync(file, text);
    expect(lockHolder(file)).toBe(null);
    const unlock = takeLock(file, 'runs/a');
    expect(lockHolder(file)).toMatchObject({ pid: process.pid });
    unlock();
    expect(readdirSync(folder)).toEqual([]);
  }
});

it('is had by exactly one of many that want a dead one’s at the same moment', async () => {
  const source = `
    const { takeLock } = await import(${JSON.stringify(new URL('../dist/run-lock.js', import.meta.url))});
    while (Date.now() < Number(process.argv[1]));
    try { takeLock(process.argv[2], 'a'); console.log('mine'); setTimeout(() => {}, 3000); } catch { console.log('refused'); }
  `;
  writeFileSync(file, '{"pid":0.5}');
  const at = String(Date.now() + 1500);
  const outputs = await Promise.all(
    Array.from({ length: 6 }, async () => {
      const child = spawn(process.execPath, ['--input-type=module', '-e', source, at, file]);
      let text = '';
      child.stdout.on('data', (chunk) => {
        text += chunk;
      });
      await new Promise((resolve) => child.on('close', resolve));
      return text.trim();
    }),
  );
  expect(outputs.sort()).toEqual(['mine', ...Array<string>(5).fill('refused')]);
});
