import { appendFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { beforeEach, describe, expect, it } from 'vitest';
import { UserError } from './error.js';
import { RunFolder } from './run-folder.js';

let folder: string;
beforeEach(() => {
  folder = temporaryFolder();
});

describe('RunFolder', () => {
  it('is never written over', () => {
    const path = join(folder, 'a');
    RunFolder.create(path, { train: { seed: 1 } });
    expect(RunFolder.open(path).experiment()).toEqual({ train: { seed: 1 } });
    expect(() => RunFolder.create(path, { train: { seed: 2 } })).toThrow(UserError);
    expect(() => RunFolder.create(path, { train: { seed: 2 } })).toThrow(/resume it, or choose another name/);
  });

  it('says when there is no run, or it cannot be written', () => {
    expect(() => RunFolder.open(join(folder, 'none'))).toThrow(/there is no run in/);
    writeFileSync(join(folder, 'file'), '');
    expect(() => RunFolder.create(join(folder, 'file', 'run'), {})).toThrow(/cannot be written/);
  });

  it('reads a log whose last line was cut off, and rewinds it', () => {
    const run = RunFolder.create(join(folder, 'a'), {});
    for (const epoch of [-1, 0, 1, 2])
      run.appendEpoch({ epoch, metrics: { 'R@1': 0.5 }, seconds: { evaluate: 1 } });
    run.appendDivision({
      clusters: Int32Array.of(0, 0, 0, 0),
      numClusters: 1,
      epoch: 2,
      sizes: [4],
      classCounts: [2],
      leftOut: 0,
      moved: 0,
      notes: [],
    });
    appendFileSync(run.metricsFile, '{"epoch":3,"metr');
    expect(run.epochs().map((record) => record.epoch)).toEqual([-1, 0, 1, 2]);
    run.rewindTo(0);
    expect(run.epochs().map((record) => record.epoch)).toEqual([-1, 0]);
    expect(run.divisions()).toEqual([]);
    expect(readdirSync(run.path).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  it('keeps what it does not know in the lines that stay', () => {
    const run = RunFolder.create(join(folder, 'a'), {});
    const lines = '{"epoch":0,"step":1,"of":"another version"}\n{"epoch":0,"step":2}\n{"epoch":1}\n';
    for (const file of [run.stepsFile, run.metricsFile]) writeFileSync(file, lines);
    run.rewindTo(-1, { epoch: 0, step: 2 });
    expect(readFileSync(run.stepsFile, 'utf8')).toBe('{"epoch":0,"step":1,"of":"another version"}\n');
    expect(readFileSync(run.metricsFile, 'utf8')).toBe('');
  });

  it.each([
    [
      'config.json',
      '{"lr":1,"a":{}}',
      (run: RunFolder) => run.experiment(),
      /expected the settings of the run, got none/,
    ],
    ['summary.json', '{"status":"?"}', (run: RunFolder) => run.summary(), /expected a status/],
    ['dataset.json', '{"sha256":"0"}', (run: RunFolder) => run.dataset(), /is damaged: restore it/],
    [
      'test-images.json',
      '{"queries":{"paths":["a"],"labels":[],"classNames":[]}}',
      (run: RunFolder) => run.testImages(),
      /expected lists/,
    ],
  ] as const)('says what is wrong with %s', (name, text, read, message) => {
    const run = RunFolder.create(join(folder, 'a'), {});
    writeFileSync(join(run.path, name), text);
    expect(() => read(run)).toThrow(UserError);
    expect(() => read(run)).toThrow(message);
  });

  it('names the damaged line', () => {
    const run = RunFolder.create(join(folder, 'a'), {});
    writeFileSync(run.metricsFile, '{"epoch":0}\nnonsense\n{"epoch":1}\n');
    expect(() => run.epochs()).toThrow(/metrics.jsonl is damaged in line 2/);
  });
});
