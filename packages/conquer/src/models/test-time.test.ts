import { F, Generator, liveTensors, randn, scope, type Tensor } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { createModel } from './create-model.js';
import { atTestTime, TestTimeNetwork, testTimeId, testTimeOf } from './test-time.js';

const model = () =>
  createModel({ name: 'small-resnet', widths: [4, 8] }, { embeddingDim: 6, generator: new Generator(1) });

const close = (got: Tensor, wanted: Tensor) => {
  expect(got.shape).toEqual(wanted.shape);
  expect(scope(() => got.sub(wanted).abs().max().item())).toBeLessThan(1e-6);
};

it('is the mean of what the network says of each view, cut to a prefix, at length 1', () => {
  using network = model();
  network.eval();
  const { size } = network.view;
  const before = liveTensors();
  scope(() => {
    const images = randn([3, 3, size, size], { generator: new Generator(2) });
    const mirrored = images.flip([3]);
    const flips = atTestTime(network, { flips: true });
    close(flips.embed(images), F.normalize(network.embed(images).add(network.embed(mirrored))));
    close(flips.embed(images), flips.embed(mirrored));
    const cut = atTestTime(network, { prefix: 2 });
    expect(cut.embeddingDim).toBe(2);
    close(cut.embed(images), F.normalize(network.embed(images).narrow(1, 0, 2)));

    const crops = atTestTime(network, { crops: 5 });
    expect(crops.view.size).toBeGreaterThan(size);
    const large = randn([2, 3, crops.view.size, crops.view.size], { generator: new Generator(3) });
    const room = crops.view.size - size;
    const middle = Math.floor(room / 2);
    const at = (top: number, left: number) =>
      network.embed(large.narrow(2, top, size).narrow(3, left, size).contiguous());
    const sum = [at(middle, middle), at(0, 0), at(0, room), at(room, 0), at(room, room)];
    close(crops.embed(large), F.normalize(sum.reduce((all, rows) => all.add(rows))));
  });
  expect(liveTensors()).toBe(before);
  expect(atTestTime(network, {})).toBe(network);
  expect(() => atTestTime(network, { prefix: 7 })).toThrow(/expected a prefix of 1 to 6 dimensions, got 7/);
  expect(atTestTime(network, { flips: true })).toBeInstanceOf(TestTimeNetwork);
});

it('says in its identity how it was used, and is used so again', () => {
  const id = 'a'.repeat(64);
  const ways = [
    {},
    { flips: true },
    { crops: 5 as const },
    { prefix: 64 },
    { flips: true, crops: 5 as const, prefix: 3 },
  ];
  const plain = { flips: false, crops: 1, prefix: null };
  for (const way of ways) expect(testTimeOf(testTimeId(id, way))).toEqual({ ...plain, ...way });
  expect(testTimeId(id, {})).toBe(id);
  expect(new Set(ways.map((way) => testTimeId(id, way))).size).toBe(ways.length);
  // Of an embedder of one's own nothing is read.
  expect(testTimeOf('mine#flips')).toEqual(plain);
});
