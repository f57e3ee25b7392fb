import { expect, it } from 'vitest';
import { refuseBatchBeyondMemory } from './batch-memory.js';

it('a batch is refused where its images alone are more than the memory', () => {
  expect(() => refuseBatchBeyondMemory(80, 224, 'cpu', null)).not.toThrow();
  expect(() => refuseBatchBeyondMemory(1e9, 224, 'cuda:0', null)).toThrow(
    /^out of memory: a batch of 1000000000 images of 224 × 224 pixels takes 140190 GiB, and there are \d/,
  );
  // What the network is not looking at stays bytes.
  const takes = (chunk: number | null) => () => refuseBatchBeyondMemory(1e9, 224, 'cpu', chunk);
  expect(takes(null)).toThrow('takes 700951 GiB');
  expect(takes(100)).toThrow('takes 140190 GiB');
  expect(() => refuseBatchBeyondMemory(2, 1e7, 'cpu', null)).toThrow('out of memory: a batch of 2 images');
});
