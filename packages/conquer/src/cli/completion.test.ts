import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { Command, Option } from 'commander';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { complete, completionScript, type Shell } from './completion.js';

const program = new Command('conquer').description('a program');
program
  .command('train')
  .description('train an embedding')
  .addOption(new Option('--loss <name>', 'metric loss'))
  .addOption(new Option('--loss-lr <x>', 'a learning rate'))
  .addOption(new Option('--dataset-dir <text>', 'a folder'))
  .addOption(new Option('--recipe <name>', 'a recipe'))
  .addOption(new Option('--dry-run', 'print and stop'));
program
  .command('eval')
  .description('evaluate')
  .argument('<run...>')
  .addOption(new Option('--checkpoint <which>').choices(['best', 'last']));
program.command('secret', { hidden: true });

const values = (...words: string[]) => complete(program, words).map(({ value }) => value);

describe('complete', () => {
  let folder: string;
  const before = process.cwd();
  beforeAll(() => {
    folder = temporaryFolder();
    for (const run of ['runs/one', 'runs/two', 'old/three']) {
      mkdirSync(join(folder, run), { recursive: true });
      writeFileSync(join(folder, run, 'config.json'), '{}');
    }
    mkdirSync(join(folder, 'runs/no-run'));
    process.chdir(folder);
  });
  afterAll(() => {
    process.chdir(before);
  });

  it.each([
    [[''], ['train', 'eval', 'help']],
    [['tr'], ['train']],
    [
      ['train', '--l'],
      ['--loss', '--loss-lr'],
    ],
    [
      ['train', '--loss', 'triplet-'],
      ['triplet-all', 'triplet-semihard'],
    ],
    [['train', '--loss=triplet-a'], ['--loss=triplet-all']],
    [['train', '--loss', '=', 'triplet-a'], ['triplet-all']],
    [['train', '--recipe', 'cub-'], ['cub-fixed']],
    [['train', '--dry-run', '--loss', 'mar'], ['margin']],
    [
      ['eval', '--checkpoint', ''],
      ['best', 'last'],
    ],
    [
      ['eval', ''],
      ['runs/one', 'runs/two'],
    ],
    [['eval', 'runs/one', 'runs/t'], ['runs/two']],
    [['eval', 'old/'], ['old/three']],
    [['help', 'e'], ['eval']],
    // Nothing: the shell completes files.
    [['train', '--dataset-dir', ''], []],
    [['train', '--loss-lr', ''], []],
    [['eval', 'elsewhere/'], []],
  ])('%j', (words, expected) => {
    expect(values(...words)).toEqual(expected);
  });

  it('says what each is', () => {
    expect(complete(program, ['ev'])).toEqual([{ value: 'eval', about: 'evaluate' }]);
  });
});

describe('in a shell', () => {
  // In the place of the program: prints the words it is given, and candidates.
  const stub = `#!/bin/sh
printf '%s|' "$@" >> "$ASKED"
case "$*" in
  *nothing*) ;;
  *) printf 'triplet\\tone\\ntriplet-all\\tanother: with a colon\\n' ;;
esac
`;
  let folder: string;
  beforeAll(() => {
    folder = temporaryFolder();
    writeFileSync(join(folder, 'conquer'), stub);
    chmodSync(join(folder, 'conquer'), 0o755);
    for (const shell of ['bash', 'zsh', 'fish'] as const)
      writeFileSync(join(folder, `script.${shell}`), completionScript(shell));
  });

  const has = (shell: Shell) => spawnSync(shell, ['-c', 'true']).status === 0;
  const run = (shell: Shell, text: string) => {
    const env = { ...process.env, PATH: `${folder}:${process.env.PATH}`, ASKED: join(folder, 'asked') };
    return spawnSync(shell, ['-c', text], { cwd: folder, env, encoding: 'utf8' });
  };

  it.runIf(has('bash'))('bash offers what the program says, and evaluates nothing of what is typed', () => {
    const { stdout, stderr } = run(
      'bash',
      `source script.bash
       COMP_WORDS=(conquer train --name '$(touch pwned)' --loss tri) COMP_CWORD=5
       _conquer; printf '%s\\n' "\${COMPREPLY[@]}"; ls; cat asked`,
    );
    expect(stderr).toBe('');
    expect(stdout.split('\n').slice(0, 2)).toEqual(['triplet', 'triplet-all']);
    expect(stdout).not.toMatch(/^pwned/m);
    expect(stdout).toContain('complete|--|train|--name|$(touch pwned)|--loss|tri|');
  });

  it.runIf(has('fish'))('fish offers what the program says, and files where it says nothing', () => {
    const { stdout } = run(
      'fish',
      'source script.fish; complete -C "conquer train --loss tri"; complete -C "conquer nothing scr"',
    );
    expect(stdout).toBe(
      'triplet\tone\ntriplet-all\tanother: with a colon\nscript.bash\nscript.fish\nscript.zsh\n',
    );
  });

  it.runIf(has('zsh'))('zsh reads its script', () => {
    const { stderr, status } = run('zsh', 'compdef() { functions _conquer >/dev/null }; source script.zsh');
    expect([status, stderr]).toEqual([0, '']);
  });
});
