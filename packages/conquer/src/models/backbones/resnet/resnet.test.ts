import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  aten,
  Generator,
  liveTensors,
  nn,
  noGrad,
  ones,
  scope,
  type Tensor,
  zeros,
} from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { checkArchitectures } from '../../../golden/architectures.js';
import { ResNet } from './resnet.js';

it('agrees with the original ResNet-18', () => {
  const path = fileURLToPath(new URL('../../../../test/fixtures/golden/architectures.json', import.meta.url));
  const cases = JSON.parse(readFileSync(path, 'utf8')) as { arch: string }[];
  const result = checkArchitectures(cases.filter(({ arch }) => arch === 'resnet18'));
  expect(result).toMatchObject({ cases: 1, failures: [] });
});

it('starts as torchvision: convolutions N(0, 2 / fan out), BatchNorm 1 and 0', () => {
  using network = new ResNet('resnet18', { generator: new Generator(1) });
  for (const [name, layer] of network.namedModules()) {
    if (layer instanceof nn.BatchNorm2d) {
      expect(layer.weight?.toNumbers().every((value) => value === 1)).toBe(true);
      expect(layer.bias?.toNumbers().every((value) => value === 0)).toBe(true);
    } else if (layer instanceof nn.Conv2d) {
      const [outChannels = 0, , height = 0, width = 0] = layer.weight.shape;
      const deviation = Math.sqrt(2 / (outChannels * height * width));
      // The spread of a sample's deviation and mean is 1 / sqrt(2 n) and 1 / sqrt(n) of the deviation.
      const spread = 5 / Math.sqrt(layer.weight.numel());
      expect(Math.abs(layer.weight.std().item() / deviation - 1), name).toBeLessThan(spread);
      expect(Math.abs(layer.weight.mean().item()) / deviation, name).toBeLessThan(spread);
    }
  }
});

it('draws its weights from the generator it is given', () => {
  const weight = (seed: number) => {
    using network = new ResNet('resnet18', { generator: new Generator(seed) });
    return [...network.conv1.weight.toNumbers().subarray(0, 8)];
  };
  expect(weight(3)).toEqual(weight(3));
  expect(weight(3)).not.toEqual(weight(4));
});

it('loads published weights, leaves out fc and nothing else', () => {
  using source = new ResNet('resnet18', { generator: new Generator(1) });
  using target = new ResNet('resnet18', { generator: new Generator(2) });
  scope(() => {
    const published = new Map<string, Tensor>(source.stateDict());
    for (const name of [...published.keys()])
      if (name.endsWith('num_batches_tracked')) published.delete(name);
    published.set('fc.weight', zeros([1000, 512]));
    published.set('fc.bias', zeros([1000]));
    expect(target.loadPretrained(published)).toEqual(['fc.weight', 'fc.bias']);
    const loaded = target.stateDict();
    for (const [name, value] of source.stateDict()) {
      expect(aten.equal(loaded.get(name) as Tensor, value), name).toBe(true);
    }

    published.delete('layer1.0.bn1.weight');
    published.set('head.weight', ones([1]));
    expect(() => target.loadPretrained(published)).toThrow(/resnet18.*layer1\.0\.bn1\.weight.*head\.weight/);
  });
});

it('frees what a forward pass makes, and keeps running statistics when frozen', () => {
  using network = new ResNet('resnet18', { frozenBatchNorm: true });
  using images = ones([1, 3, 32, 32]);
  network.train();
  const before = liveTensors();
  const mean = network.bn1.runningMean.toNumbers();
  const features = noGrad(() => network.features(images));
  expect(features.shape).toEqual([1, 512, 1, 1]);
  expect(liveTensors()).toBe(before + 1);
  features.dispose();
  expect(network.bn1.runningMean.toNumbers()).toEqual(mean);
});
