import { Generator, liveTensors, randn, scope, type Tensor, tensor } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { CrossBatchMemory, type CrossBatchMemoryOptions } from './cross-batch-memory.js';

// Values and gradients are compared with pytorch-metric-learning and the authors in golden/golden.test.ts.

/** Rows that show which image they are of: (B, 2). */
const rowsOf = (images: number[]) => tensor(images.map((image) => [image, 1]));
const ownersOf = (images: number[]) => ({
  labels: Int32Array.from(images, (image) => image % 3),
  imageIds: Int32Array.from(images),
});
const add = (memory: CrossBatchMemory, images: number[], learner = 0) =>
  scope(() => memory.add(learner, rowsOf(images), ownersOf(images)));
/** The images in the slots, by their rows and by their ids, which must be the same. */
const images = (memory: CrossBatchMemory, learner = 0) => {
  return scope(() => {
    const remembered = memory.remembered(learner);
    if (remembered === null) return null;
    const byRows = (remembered.rows.tolist() as number[][]).map(([image]) => image);
    expect([...remembered.owners.imageIds]).toEqual(byRows);
    expect([...remembered.owners.labels]).toEqual(byRows.map((image) => image! % 3));
    return byRows;
  });
};
const made = (given: Omit<CrossBatchMemoryOptions, 'momentum'>) =>
  new CrossBatchMemory({ startStep: 0, ...given });

it.each([
  [
    { form: 'paper' },
    [
      [1, 2, 3],
      [1, 2, 3, 4, 5, 6],
      [8, 9, 3, 4, 5, 6, 7],
      [8, 9, 10, 11, 12, 6, 7],
    ],
    5,
  ],
  [
    { form: 'authors' },
    [
      [1, 2, 3],
      [1, 2, 3, 4, 5, 6],
      [1, 2, 3, 4, 7, 8, 9],
      [10, 11, 12, 4, 7, 8, 9],
    ],
    3,
  ],
] as const)('goes round as %o has it', (form, wanted, next) => {
  using memory = made({ size: 7, ...form });
  const slots = [
    [1, 2, 3],
    [4, 5, 6],
    [7, 8, 9],
    [10, 11, 12],
  ].map((batch) => {
    add(memory, batch);
    return images(memory);
  });
  expect(slots).toEqual(wanted);
  expect(memory.nextSlot(0)).toBe(next);
});

it('of one batch holds the newest, and refuses a larger one in words', () => {
  for (const form of ['paper', 'authors'] as const) {
    using memory = made({ size: 2, form });
    add(memory, [1, 2]);
    add(memory, [3, 4]);
    expect(images(memory)).toEqual([3, 4]);
    expect(() => add(memory, [5, 6, 7])).toThrow(
      /a memory of 2 rows: expected a batch of at most as many, got 3; make the memory larger/,
    );
    using single = made({ size: 1, form });
    for (const image of [1, 2, 3]) add(single, [image]);
    expect(images(single)).toEqual([3]);
  }
});

it('has a ring for each learner, and is emptied as a whole', () => {
  const before = liveTensors();
  const memory = made({ size: 4 });
  add(memory, [1, 2], 0);
  add(memory, [3], 1);
  expect([images(memory, 0), images(memory, 1), images(memory, 2)]).toEqual([[1, 2], [3], null]);
  memory.empty();
  expect([images(memory, 0), images(memory, 1)]).toEqual([null, null]);
  expect(memory.nextSlot(0)).toBe(0);
  expect(liveTensors()).toBe(before);
});

it('keeps float32 of half precision, and float64 as it is, without gradients and as copies', () => {
  const generator = new Generator(1);
  for (const [dtype, kept] of [
    ['bfloat16', 'float32'],
    ['float16', 'float32'],
    ['float32', 'float32'],
    ['float64', 'float64'],
  ] as const) {
    using memory = made({ size: 5 });
    scope(() => {
      const rows = randn([3, 2], { generator }).to(dtype).requiresGrad_();
      const before = rows.detach().to('float64').tolist();
      memory.add(0, rows, ownersOf([0, 1, 2]));
      rows.detach().fill_(7);
      const { rows: remembered } = memory.remembered(0)!;
      expect([remembered.dtype, remembered.requiresGrad]).toEqual([kept, false]);
      expect(remembered.to('float64').tolist()).toEqual(before);
    });
  }
});

it('is saved with its place and fill, and goes on to the same slots', () => {
  for (const form of ['paper', 'authors'] as const) {
    using memory = made({ size: 5, form });
    using again = made({ size: 5, form });
    for (const batch of [
      [1, 2],
      [3, 4],
      [5, 6],
    ])
      add(memory, batch);
    add(memory, [7], 3);
    memory.begin();
    scope(() => {
      const { state, tensors } = memory.saved();
      again.load(JSON.parse(JSON.stringify(state)), tensors, 'cpu');
    });
    expect([images(again, 0), images(again, 3)]).toEqual([images(memory, 0), images(memory, 3)]);
    for (const each of [memory, again]) add(each, [8, 9, 10]);
    expect(images(again)).toEqual(images(memory));
    expect(scope(() => again.saved().state)).toEqual(scope(() => memory.saved().state));
  }
});

it('refuses what was saved of another size, or in part', () => {
  using memory = made({ size: 5 });
  add(memory, [1, 2, 3, 4]);
  scope(() => {
    const { state, tensors } = memory.saved();
    using smaller = made({ size: 3 });
    expect(() => smaller.load(state, tensors, 'cpu')).toThrow(
      /memory of 4 rows is incomplete, or not of this size/,
    );
    const without = new Map<string, Tensor>([...tensors].filter(([name]) => !name.endsWith('labels')));
    expect(() => memory.load(state, without, 'cpu')).toThrow(/incomplete/);
  });
});

it('takes part from its start on, and counts on after a resume', () => {
  using memory = made({ size: 5, startStep: 3 });
  expect([memory.begin(), memory.begin()]).toEqual([false, false]);
  using again = made({ size: 5, startStep: 3 });
  scope(() => {
    const { state, tensors } = memory.saved();
    again.load(state, tensors, 'cpu');
  });
  expect([again.begin(), again.begin()]).toEqual([false, true]);
});

it('refuses a weight that would do nothing', () => {
  expect(() => made({ weight: 2 })).toThrow(/weight: has no effect: .*expected null, or form 'authors'/);
  using memory = made({ weight: 0, form: 'authors' });
  expect(memory.weight).toBe(0);
});
