import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { expect, it } from 'vitest';

const HEADERS = fileURLToPath(new URL('../native', import.meta.url));
const folder = temporaryFolder();
const hasAvx2 =
  process.platform === 'linux' && / avx2 .* fma | fma .* avx2 /.test(readFileSync('/proc/cpuinfo', 'utf8'));

it.runIf(process.arch === 'x64' && hasAvx2)(
  'a kernel is the one for new processors on any that has AVX2, whoever made it',
  () => {
    const source = join(folder, 'probe.cc');
    writeFileSync(
      source,
      `#include "for-each-processor.h"
#include <cstdio>
extern "C" FOR_EACH_PROCESSOR long probe() {
  char* here;
  asm volatile("lea (%%rip), %0" : "=r"(here));
  return reinterpret_cast<long>(here);
}
extern "C" long for_old_ones() asm("probe.default");
int main() {
  const long behind = probe() - reinterpret_cast<long>(&for_old_ones);
  std::puts(behind >= 0 && behind < 16 ? "old" : "new");
}
`,
    );
    const program = join(folder, 'probe');
    execFileSync(process.env.CXX || 'c++', [`-I${HEADERS}`, source, '-o', program]);
    expect(execFileSync(program, { encoding: 'utf8' })).toBe('new\n');
  },
);
