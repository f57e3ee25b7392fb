import { expect, it } from 'vitest';
import { refuseBatchBeyondMemory } from './batch-memory.js';

it('a batch is refused where its images alone are more than the memory', () => {
  expect(() => refuseBatchBeyondMemory(80, 224, 'cpu')).not.toThrow();
  expect(() => refuseBatchBeyondMemory(1e9, 224, 'cuda:0')).toThrow(
    /^out of memory: a batch of 1000000000 images of 224 × 224 pixels takes 140190 GiB, and there are \d/,
  );
  expect(() => refuseBatchBeyondMemory(2, 1e7, 'cpu')).toThrow('out of memory: a batch of 2 images');
});
