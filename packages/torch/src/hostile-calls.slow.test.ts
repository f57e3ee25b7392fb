import { execFileSync, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { findBinding } from '@conquer-dml/native/find-binding';
import { describe, expect, it } from 'vitest';
import { packageFolder } from './binding.js';

// The addon, called as no TypeScript would; then the same under AddressSanitizer, where the compiler has it. The
// sanitizer watches the addon's own code and every malloc and free of the process, not the inside of libtorch.

const file = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const CALLS = Number(process.env.CONQUER_CALLS ?? 4000);

interface Counts {
  calls: number;
  results: number;
  errors: number;
  operators: number;
  functions: number;
}

function attack(addon: string, calls: number, env: NodeJS.ProcessEnv = {}): void {
  const script = file('./testing/hostile-calls.mjs');
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [script, addon, `${calls}`], {
    encoding: 'utf8',
    env: { ...process.env, OMP_WAIT_POLICY: 'passive', ...env },
  });
  expect([status, signal, stderr.slice(0, 4000)]).toEqual([0, null, '']);
  const all = JSON.parse(stdout) as Counts[];
  console.log(all.map((counts) => JSON.stringify(counts)).join('\n'));
  expect(all).toHaveLength(3);
  for (const counts of all) {
    expect(counts.results + counts.errors).toBe(calls);
    expect(counts.results).toBeGreaterThan(calls / 50);
    expect(counts.operators).toBeGreaterThan(25);
    expect(counts.functions).toBeGreaterThan(25);
  }
}

it('wrong handles, types and shapes, from two workers, and an end under way: errors, no crash', () => {
  attack(findBinding('torch', packageFolder), CALLS);
});

/** The addon built under AddressSanitizer, and the library to preload; or why not. */
function build(): { torch: string; runtime: string } | string {
  const script = file('../../../scripts/build-native.mjs');
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, '--asan'], { encoding: 'utf8' });
  if (status !== 0) return stderr.trim().split('\n').at(-1) ?? '';
  const built = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as { torch: string; runtime: string };
  try {
    execFileSync(process.execPath, ['-e', ''], { env: { ...process.env, LD_PRELOAD: built.runtime } });
    return built;
  } catch (error) {
    return `node does not run under ${built.runtime}: ${(error as Error).message.split('\n')[0]}`;
  }
}

describe('under AddressSanitizer', () => {
  it('the same', ({ skip }) => {
    const built = build();
    if (typeof built === 'string') {
      process.stderr.write(`SKIPPED: AddressSanitizer: ${built}\n`);
      skip();
      return;
    }
    // Leaks of Node's own would be told at its end; libtorch's containers are not annotated.
    const options =
      'detect_leaks=0:detect_container_overflow=0:alloc_dealloc_mismatch=0:protect_shadow_gap=0:allocator_may_return_null=1';
    attack(built.torch, Math.ceil(CALLS / 4), { LD_PRELOAD: built.runtime, ASAN_OPTIONS: options });
  });
});
