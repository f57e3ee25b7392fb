import { join } from 'node:path';
import { RunFolder } from '@conquer-dml/run';
import { writeDiscs } from '@conquer-dml/testing/pictures';
import { conquer, type ProgramOptions } from '@conquer-dml/testing/program';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { cudaIsAvailable } from '@conquer-dml/torch';
import { beforeAll, describe, expect, it } from 'vitest';
import { outcome, smallRun } from './small-run.js';

// Through the program as it is installed, on a card; only where there is one.

describe.skipIf(!cudaIsAvailable())('conquer on CUDA', () => {
  let folder: string;
  beforeAll(async () => {
    folder = temporaryFolder();
    writeDiscs(folder);
    const { code, stderr } = await run('whole');
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(/on cuda:0/);
    expect(stderr).not.toMatch(/Warning/);
  }, 120_000);

  const at = (name: string) => join(folder, 'runs', name);
  const run = (name: string, options: Partial<ProgramOptions> = {}) =>
    conquer(['train', ...smallRun, '--epochs', '20', '--device', 'cuda:0', '--name', name], {
      folder,
      ...options,
    });

  it('learns, and gives the same numbers again', async () => {
    const [before, ...after] = RunFolder.open(at('whole')).epochs();
    expect(after.at(-1)?.metrics?.['R@1']).toBeGreaterThan(before?.metrics?.['R@1'] ?? 1);
    const { code, stderr } = await run('again');
    expect(code, stderr).toBe(0);
    expect(outcome(at('again'))).toEqual(outcome(at('whole')));
  });

  it('stopped half-way, goes on to the numbers of a run that was not', async () => {
    let sent = false;
    const stopped = await run('stopped', {
      onOutput: (text, child) => {
        if (sent || !/epoch +2\/20/.test(text)) return;
        sent = true;
        child.kill('SIGTERM');
      },
    });
    expect(stopped.code, stopped.stderr).toBe(143);
    const rest = await conquer(['train', '--resume', 'runs/stopped'], { folder });
    expect(rest.code, rest.stderr).toBe(0);
    expect(outcome(at('stopped'))).toEqual(outcome(at('whole')));
  });

  it('a model from the card is evaluated, indexed and searched on the CPU', async () => {
    const best = RunFolder.open(at('whole')).summary()?.best?.metrics?.['R@1'];
    for (const device of ['cpu', 'cuda:0']) {
      const { code, stdout, stderr } = await conquer(['eval', 'runs/whole', '--device', device, '--json'], {
        folder,
      });
      expect(code, stderr).toBe(0);
      const [result] = [JSON.parse(stdout)].flat();
      expect(Math.abs(result.metrics['R@1'] - (best ?? 0))).toBeLessThan(0.05);
    }
    const index = await conquer(
      ['index', 'runs/whole', 'images', '--device', 'cuda:0', '--out', 'all.index'],
      { folder },
    );
    expect(index.code, index.stderr).toBe(0);
    const search = await conquer(['search', 'all.index', 'images/class-00/0.svg', '--top', '1'], { folder });
    expect(search.stdout, search.stderr).toContain('class-00/0.svg');
  });

  it('a card that is not there is one line', async () => {
    const { code, stderr } = await conquer(['eval', 'runs/whole', '--device', 'cuda:99'], { folder });
    expect([code, stderr]).toEqual([2, expect.stringMatching(/^conquer: --device: .*numbered 0 to \d+\n$/)]);
  });
});
