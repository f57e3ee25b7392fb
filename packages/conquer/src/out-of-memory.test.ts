import { type RunFolder, UserError } from '@conquer-dml/run';
import { aten, empty, grad, liveTensors, OutOfMemoryError, randn, TorchError } from '@conquer-dml/torch';
import { describe, expect, it, vi } from 'vitest';
import { Loader } from './data/loader.js';
import { embedImages } from './evaluate/embed.js';
import { createModel } from './models/create-model.js';
import type { EmbeddingModel } from './models/embedding-model.js';
import { inWords, isOutOfMemory } from './out-of-memory.js';
import { Random } from './random.js';
import { NotFiniteGuard } from './train/not-finite.js';
import type { TrainingStep } from './train/step.js';

const petabyte = 2 ** 48; // numbers of four bytes
const failure = (body: () => unknown): unknown => {
  try {
    return body();
  } catch (error) {
    return error;
  }
};

describe('memory that is not to be had', () => {
  it("is an error of its own, in libtorch's words or V8's", () => {
    const errors = [
      failure(() => empty([petabyte])),
      failure(() => aten.zeros([petabyte])),
      failure(() => new ArrayBuffer(petabyte)),
      failure(() => new Float64Array(petabyte)),
    ];
    for (const error of errors) expect([String(error), isOutOfMemory(error)]).toEqual([String(error), true]);
    expect(errors[0]).toBeInstanceOf(OutOfMemoryError);
    expect(errors[0]).toBeInstanceOf(TorchError);
    const others = [
      failure(() => aten.mm(empty([2, 3]), empty([2, 3]))),
      failure(() => grad(empty([]), [empty([])])),
      failure(() => new Array(-1)),
      new Error('no'),
      null,
    ];
    for (const error of others) expect([String(error), isOutOfMemory(error)]).toEqual([String(error), false]);
    expect(inWords(others[0], 'x')).toBe(others[0]);
    expect(inWords(errors[1], 'x')).toEqual(new UserError('out of memory: x'));
  });

  it('for a network, a batch or its embeddings is told with their sizes, and nothing leaks', async () => {
    const before = liveTensors();
    expect(() => createModel('small-resnet', { embeddingDim: petabyte })).toThrow(
      /^out of memory: a small-resnet with an embedding of \d+ dimensions: a smaller one needs less$/,
    );
    expect(() => createModel('small-resnet', { embeddingDim: petabyte })).toThrow(UserError);

    const model = createModel({ name: 'small-resnet', widths: [4] }, { embeddingDim: 6 });
    vi.spyOn(model, 'embed').mockImplementation(() => empty([petabyte]));
    async function* batches() {
      yield { images: randn([5, 3, 16, 24]) };
    }
    await expect(embedImages(model, batches())).rejects.toThrow(
      new UserError(
        'out of memory: 5 images of 16×24 pixels, 6 dimensions, were embedded at once: smaller images or a smaller embedding need less',
      ),
    );
    model.dispose();

    const loader = new Loader({
      source: { count: 4, read: async () => empty([petabyte], { dtype: 'uint8' }) },
      labels: new Int32Array(4),
      batches: [Int32Array.of(0, 1, 2)],
      transform: { apply: (images) => images },
      random: new Random(1),
    });
    const first = loader[Symbol.asyncIterator]().next();
    await expect(first).rejects.toThrow(/^out of memory: a batch of 3 images does not fit: a smaller batch/);
    await expect(first).rejects.toThrow(UserError);
    expect(liveTensors()).toBeLessThanOrEqual(before + 2); // the batch's images are its generator's
  });
});

it('for a step is told with the step, the sizes and where everything before is', () => {
  const guard = new NotFiniteGuard({
    onNan: 'stop',
    model: { embeddingDim: 6 } as EmbeddingModel,
    step: { run: () => empty([petabyte]) } as unknown as TrainingStep,
    run: { hasCheckpoint: true, lastCheckpoint: 'run/last' } as RunFolder,
    paths: undefined,
    epoch: 1,
    steps: 9,
    onWarning: () => {},
  });
  using images = randn([5, 3, 16, 24]);
  const input = { images, labels: new Int32Array(5), learner: 0, fullEmbedding: false };
  expect(() => guard.run(2, input, new Int32Array(5))).toThrow(
    new UserError(
      'out of memory: epoch 2, step 3 of 9, a batch of 5 images of 16×24 pixels, 6 dimensions: a smaller batch, smaller images or a smaller embedding needs less; what was trained before is in run/last',
    ),
  );
});
