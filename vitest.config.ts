import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

// Tests run against the sources; what they start in another process or thread is built of them first.
const source = (name: string) => fileURLToPath(new URL(`packages/${name}/src/index.ts`, import.meta.url));

export default defineConfig({
  test: {
    pool: 'forks',
    globalSetup: 'scripts/build.mjs',
    setupFiles: [fileURLToPath(new URL('packages/testing/src/remove-temporary-folders.ts', import.meta.url))],
    maxWorkers: 2,
    // A core for each worker; OpenMP's spinning threads would steal the other's.
    env: { OMP_WAIT_POLICY: 'passive', OMP_NUM_THREADS: '1' },
    alias: {
      '@conquer-dml/torch': source('torch'),
      '@conquer-dml/image': source('image'),
      '@conquer-dml/run': source('run'),
      '@conquer-dml/testing': fileURLToPath(new URL('packages/testing/src', import.meta.url)),
      'conquer-dml': source('conquer'),
    },
    projects: [
      {
        extends: true,
        test: {
          name: 'fast',
          include: [
            'packages/*/src/**/*.test.ts',
            'packages/dashboard/page/src/*.test.ts',
            'packages/browser/test/*.test.ts',
            'packages/native/builder/*.test.mjs',
            'scripts/**/*.test.mjs',
            '{bench,board}/**/*.test.mjs',
          ],
          exclude: ['**/*.slow.test.{ts,mjs}', '**/node_modules/**'],
          testTimeout: 30_000,
          // A worker keeps the modules it has loaded: importing them anew for each of some 200 files took longer than the tests.
          isolate: false,
          setupFiles: [fileURLToPath(new URL('packages/testing/src/collect-garbage.ts', import.meta.url))],
          unstubEnvs: true,
          unstubGlobals: true,
        },
      },
      {
        extends: true,
        test: {
          name: 'slow',
          include: [
            'packages/*/src/**/*.slow.test.ts',
            'packages/{dashboard,browser}/test/*.slow.test.ts',
            'examples/*.slow.test.ts',
            'scripts/**/*.slow.test.mjs',
            'board/*.slow.test.mjs',
          ],
          testTimeout: 600_000,
          hookTimeout: 120_000,
          // A crowded machine's browser is slow to answer.
          expect: { poll: { timeout: 30_000 } },
        },
      },
    ],
  },
});
