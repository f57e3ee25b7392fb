// From the command line to the end of the first step, all of emoji, one learner, from a warm cache.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { serve } from './side.mjs';

// The evaluation of the untrained model and the division among learners are work, not start.
const SETTINGS = ['--recipe', 'demo', '--num-learners', '1', '--evaluate-untrained', 'no', '--name', 'run'];
const hook = new URL('exit-after-step.mjs', import.meta.url).href;

await serve(() => {
  const folder = mkdtempSync(join(tmpdir(), 'conquer-bench-'));
  try {
    const { signal, stderr } = spawnSync(
      process.execPath,
      ['--import', hook, 'packages/conquer/bin/conquer.js', 'train', ...SETTINGS, '--runs-dir', folder],
      { encoding: 'utf8' },
    );
    if (signal !== 'SIGALRM') throw new Error(`conquer train ended before its first step: ${stderr.trim()}`);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
