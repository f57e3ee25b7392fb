import { afterAll } from 'vitest';
import { removeTemporaryFolders } from './temporary-folder.js';

// Once in each file of tests, which vitest sees to: a module of tests that share their worker would only say so to the first of them.
// Some folders hold the results of hundreds of runs.
afterAll(removeTemporaryFolders, 120_000);
