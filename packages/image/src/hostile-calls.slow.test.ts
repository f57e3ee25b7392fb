import { execFileSync, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findBinding } from '@conquer-dml/native/find-binding';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { packageFolder } from './binding.js';

// The addon, called as no TypeScript would, its arrays transferred and resized under way; then the same under
// AddressSanitizer, where the compiler has it.

const file = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const CALLS = Number(process.env.CONQUER_CALLS ?? 4000);
let folder: string;

beforeAll(async () => {
  folder = temporaryFolder();
  const noise = Uint8Array.from({ length: 90 * 70 * 3 }, (_, i) => (i * i * 31) % 256);
  for (const [name, quality] of Object.entries({ 'a.jpg': 90, 'b.jpg': 30 }))
    await sharp(noise, { raw: { width: 90, height: 70, channels: 3 } })
      .jpeg({ quality })
      .toFile(join(folder, name));
  writeFileSync(join(folder, 'notes.txt'), 'no image');
  writeFileSync(join(folder, 'empty.png'), '');
});

interface Counts {
  results: number;
  errors: number;
  rejections: number;
  done: number;
}

function attack(addon: string, calls: number, env: NodeJS.ProcessEnv = {}): void {
  const { status, signal, stdout, stderr } = spawnSync(
    process.execPath,
    [file('./testing/hostile-calls.mjs'), addon, folder, `${calls}`],
    { encoding: 'utf8', env: { ...process.env, ...env } },
  );
  expect([status, signal, stderr.slice(0, 4000)]).toEqual([0, null, '']);
  const all = JSON.parse(stdout) as Counts[];
  expect(all).toHaveLength(3);
  for (const { results, errors, rejections, done } of all) {
    expect(results + errors).toBe(calls);
    for (const count of [errors, rejections, done]) expect(count).toBeGreaterThan(calls / 20);
  }
}

it('wrong arrays and numbers, memory that goes, from two workers, and an end under way: errors, no crash', () => {
  attack(findBinding('image', packageFolder), CALLS);
});

describe('under AddressSanitizer', () => {
  it('the same', ({ skip }) => {
    const script = file('../../../scripts/build-native.mjs');
    const { status, stdout } = spawnSync(process.execPath, [script, '--asan'], { encoding: 'utf8' });
    if (status !== 0) return skip('this compiler has no AddressSanitizer');
    const built = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as { image: string; runtime: string };
    const env = { LD_PRELOAD: built.runtime };
    try {
      execFileSync(process.execPath, ['-e', ''], { env: { ...process.env, ...env } });
    } catch {
      return skip(`node does not run under ${built.runtime}`);
    }
    const ASAN_OPTIONS =
      'detect_leaks=0:detect_container_overflow=0:alloc_dealloc_mismatch=0:protect_shadow_gap=0';
    attack(built.image, Math.ceil(CALLS / 4), { ...env, ASAN_OPTIONS });
  });
});
