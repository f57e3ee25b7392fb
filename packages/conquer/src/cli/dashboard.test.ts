import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { program } from '@conquer-dml/testing/program';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { expect, it } from 'vitest';

it('serves a folder of runs until Ctrl-C, without loading libtorch', async () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, 'mine'));
  writeFileSync(join(folder, 'mine', 'config.json'), '{"format": 3, "train": {"epochs": 3}}');
  // On Ctrl-C, what is loaded is told first.
  const tell = `process.on('exit', () => console.log(process.report.getReport().sharedObjects.join('\\n')))`;
  const options = ['--import', `data:text/javascript,${encodeURIComponent(tell)}`];
  const child = spawn(process.execPath, [...options, program, 'dashboard', folder, '--port', '0']);
  let said = '';
  try {
    const url = await new Promise<string>((done, failed) => {
      child.stderr.setEncoding('utf8').on('data', (chunk) => failed(new Error(chunk)));
      child.stdout.setEncoding('utf8').on('data', (chunk) => {
        said += chunk;
        const address = said.match(/http:\S+/)?.[0];
        if (address && said.includes('Ctrl-C')) done(address);
      });
    });
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/$/);
    const { runs } = (await (await fetch(`${url}api/runs`)).json()) as { runs: unknown[] };
    expect(runs).toMatchObject([{ id: 'mine', status: 'cut off', epochs: 0, of: 3 }]);
    child.kill('SIGINT');
    expect(await new Promise((done) => child.on('close', done))).toBe(0);
    expect(said).toMatch(/libvips/);
    expect(said).not.toMatch(/conquer_torch|libtorch/);
  } finally {
    child.kill('SIGKILL');
  }
});
