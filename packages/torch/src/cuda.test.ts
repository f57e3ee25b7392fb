import { join } from 'node:path';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { describe, expect, it } from 'vitest';
import {
  autocast,
  cudaDeviceCount,
  cudaIsAvailable,
  F,
  Generator,
  imagesFromPixels,
  liveTensors,
  manualSeed,
  mixColors,
  nn,
  optim,
  rand,
  randint,
  randn,
  readSafetensors,
  scope,
  type Tensor,
  tensor,
  writeSafetensors,
  zeros,
} from './index.js';

// Only where libtorch has CUDA and there is a card: `npm run setup` with LIBTORCH or LIBTORCH_USE_PYTORCH=1.

const device = 'cuda:0';

describe.skipIf(!cudaIsAvailable())('on CUDA', () => {
  it('tensors go there and come back with their values, and say where they are', () => {
    const there = tensor(
      [
        [1, 2.5],
        [-3, 4],
      ],
      { device },
    );
    expect([there.device, there.to('cpu').device]).toEqual([device, 'cpu']);
    expect(there.to('cpu').tolist()).toEqual([
      [1, 2.5],
      [-3, 4],
    ]);
    expect(there.tolist()).toEqual([
      [1, 2.5],
      [-3, 4],
    ]);
    expect(there.matmul(there).tolist()).toEqual([
      [-6.5, 12.5],
      [-15, 8.5],
    ]);
    expect(there.sum().item()).toBe(4.5);
  });

  it('mixing devices, and a device that is not there, are errors of one line', () => {
    expect(() => zeros([2], { device }).add(zeros([2]))).toThrow(/^[^\n]*same device[^\n]*$/);
    expect(() => zeros([2], { device: `cuda:${cudaDeviceCount()}` })).toThrow(/numbered 0 to/);
    expect(() => new Generator(0, `cuda:${cudaDeviceCount()}`)).toThrow(/^[^\n]+$/);
  });

  it('asking for more memory than there is is an error, and the next tensor is made', () => {
    expect(() => zeros([2 ** 40], { device })).toThrow(/out of memory/);
    expect(zeros([3], { device }).tolist()).toEqual([0, 0, 0]);
  });

  it('generators repeat their numbers from a seed and from a state', () => {
    const generator = new Generator(7, device);
    const draw = () => rand([100], { device, generator }).tolist();
    const first = draw();
    const state = generator.state();
    const second = draw();
    expect(second).not.toEqual(first);
    expect(generator.setState(state) && draw()).toEqual(second);
    expect(generator.seed(7) && draw()).toEqual(first);
    manualSeed(3);
    const byDefault = rand([5], { device }).tolist();
    manualSeed(3);
    expect(rand([5], { device }).tolist()).toEqual(byDefault);
  });

  it('layers and optimisers compute what they compute on the CPU', () => {
    const train = (where: string) => {
      const generator = new Generator(1);
      const net = new nn.Sequential(
        new nn.Conv2d(3, 8, 3, { padding: 1, bias: false, generator }),
        new nn.BatchNorm2d(8),
        new nn.ReLU(),
      ).to({ dtype: 'float64', device: where });
      const x = randn([6, 3, 9, 9], { generator: new Generator(2), dtype: 'float64' }).to({ device: where });
      const target = randn([6, 8, 9, 9], { generator: new Generator(3), dtype: 'float64' }).to({
        device: where,
      });
      return [optim.Adam, optim.AdamW, optim.SGD].map((Algorithm) => {
        const optimizer = new Algorithm([{ params: net.parameters() }], { lr: 1e-2 });
        const losses = Array.from({ length: 4 }, () => {
          optimizer.zeroGrad();
          const loss = F.normalize(net.forward(x)).mul(target).sum();
          loss.backward();
          optimizer.step();
          return loss.item();
        });
        return [...losses, ...net.parameters().flatMap((parameter: Tensor) => [...parameter.toNumbers()])];
      });
    };
    const [want, got] = [train('cpu'), train(device)];
    for (const [i, numbers] of want.entries())
      for (const [j, number] of numbers.entries()) expect(got[i]?.[j]).toBeCloseTo(number, 9);
  });

  it('autocast computes in bfloat16, with gradients in float32', () => {
    const [x, w] = [randn([4, 4], { device }), randn([4, 4], { device, requiresGrad: true })];
    const y = autocast('cuda', 'bfloat16', () => F.linear(x, w));
    expect(y.dtype).toBe('bfloat16');
    y.to('float32').sum().backward();
    expect(w.grad?.dtype).toBe('float32');
    expect(F.linear(x, w).dtype).toBe('float32');
  });

  it('what was computed there is written to a file and read again', () => {
    const folder = temporaryFolder();
    const values = randn([3, 5], { device });
    writeSafetensors(join(folder, 'values.safetensors'), new Map([['values', values]]));
    const read = readSafetensors(join(folder, 'values.safetensors')).tensors.get('values');
    expect([read?.device, read?.tolist()]).toEqual(['cpu', values.tolist()]);
  });

  it('pixels become images, and colours are mixed, as on the CPU', () => {
    const pixels = randint(0, 256, [4, 9, 7, 3], { dtype: 'uint8' });
    const images = imagesFromPixels(pixels);
    const there = imagesFromPixels(pixels.to({ device }));
    expect(there.device).toBe(device);
    // A card multiplies by the reciprocal of 255.
    expect(there.to('cpu').sub(images).abs().max().item()).toBeLessThan(1e-7);
    const matrices = rand([4 * 12]).toTypedArray() as Float32Array;
    const mixed = mixColors(there, matrices).to('cpu').sub(mixColors(images, matrices));
    expect(mixed.abs().max().item()).toBeLessThan(1e-6);
  });

  it('a scope frees what was made in it', () => {
    const before = liveTensors();
    for (let i = 0; i < 200; i++)
      scope(() =>
        randn([1 << 20], { device })
          .mul(2)
          .sum()
          .item(),
      );
    expect(liveTensors()).toBe(before);
  });
});
