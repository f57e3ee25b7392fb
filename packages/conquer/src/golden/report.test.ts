import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { UserError } from '@conquer-dml/run';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { beforeEach, describe, expect, it } from 'vitest';
import { goldenReport } from './report.js';

const fixtures = fileURLToPath(new URL('../../test/fixtures/golden', import.meta.url));
let folder: string;

beforeEach(() => {
  folder = temporaryFolder();
});

const report = async (path: string) => {
  const lines: string[] = [];
  const off = await goldenReport(path, (text) => lines.push(text));
  return { lines, off };
};
const copy = (name: string) => cpSync(join(fixtures, name), join(folder, name));
const line = (lines: string[], name: string) => lines.find((text) => text.startsWith(name));

describe('goldenReport', () => {
  it('gives cases and worst error of what is there, and says what is missing or not done yet', async () => {
    copy('reassign.json');
    const losses = JSON.parse(readFileSync(join(fixtures, 'losses-revisiting-dml.json'), 'utf8'));
    for (const item of losses) if (item.loss === 'snr') item.loss = 'another';
    writeFileSync(join(folder, 'losses-revisiting-dml.json'), JSON.stringify(losses));
    const { lines, off } = await report(folder);
    expect(off).toBe(false);
    expect(line(lines, 'reassign.json')).toMatch(/3 cases, worst relative error 0\.0e\+0/);
    expect(line(lines, 'losses-revisiting-dml.json')).toMatch(/30 cases, .*; not yet: another \(3\)/);
    expect(line(lines, 'miners.json')).toMatch(/missing/);
  });

  it('is off where there is a file that nothing here reads', async () => {
    copy('reassign.json');
    writeFileSync(join(folder, 'other.json'), '[]');
    const { lines, off } = await report(folder);
    expect(off).toBe(true);
    expect(line(lines, 'other.json')).toMatch(/OFF: nothing here reads a file of this name/);
  });

  it('is off when a number is off, and says which', async () => {
    const cases = JSON.parse(readFileSync(join(fixtures, 'reassign.json'), 'utf8'));
    cases[1].reassigned[0] ^= 1;
    cases[2].costs.data[0] += 1e-3;
    writeFileSync(join(folder, 'reassign.json'), JSON.stringify(cases));
    const { lines, off } = await report(folder);
    expect(off).toBe(true);
    expect(line(lines, 'reassign.json')).toMatch(/OFF in 2 places/);
    expect(lines.join('\n')).toMatch(/1 reassigned: 1 of 60 differ/);
    expect(lines.join('\n')).toMatch(/2 costs: relative error/);
  });

  it('is off when a file cannot be read as what it should be', async () => {
    writeFileSync(join(folder, 'losses.json'), '[{"loss": "margin"}]');
    writeFileSync(join(folder, 'miners.json'), '{');
    writeFileSync(join(folder, 'evaluation.json'), '{}');
    const { lines, off } = await report(folder);
    expect(off).toBe(true);
    expect(line(lines, 'losses.json')).toMatch(
      /cannot be read: expected an object for the options of case 0/,
    );
    expect(line(lines, 'miners.json')).toMatch(/cannot be read/);
    expect(line(lines, 'evaluation.json')).toMatch(/expected a list of cases/);
  });

  it('refuses a folder without golden files, and one that is not there', async () => {
    await expect(report(folder)).rejects.toThrow(UserError);
    await expect(report(folder)).rejects.toThrow(/found none of them/);
    await expect(report(join(folder, 'nowhere'))).rejects.toThrow(/cannot read the folder .*ENOENT/);
  });
});
