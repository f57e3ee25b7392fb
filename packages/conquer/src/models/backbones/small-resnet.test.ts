import { describeWithPython, runPython } from '@conquer-dml/testing/python';
import { Generator, nn, ones, randn, scope, type Tensor } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { SmallResNet, type SmallResNetOptions } from './small-resnet.js';

it('halves the resolution in the stem and in every stage but the first', () => {
  const shape = (options: SmallResNetOptions, size = 48) => {
    using network = new SmallResNet(options);
    using images = ones([1, 3, size, size]);
    using features = network.features(images);
    expect(features.shape[1]).toBe(network.featureSize);
    return features.shape;
  };
  expect(shape({})).toEqual([1, 256, 3, 3]);
  expect(shape({}, 32)).toEqual([1, 256, 2, 2]);
  expect(shape({ widths: [8, 16] })).toEqual([1, 16, 12, 12]);
  expect(shape({ widths: [8, 16], stem: { stride: 1 } })).toEqual([1, 16, 24, 24]);
  expect(shape({ widths: [8, 16], stem: { kernelSize: 5, maxPool: true } })).toEqual([1, 16, 6, 6]);
  expect(shape({ widths: [8, 16], shortcut: 'strided' })).toEqual([1, 16, 12, 12]);
});

it('names its stages as torchvision does, with as many blocks as asked', () => {
  using network = new SmallResNet({ widths: [4, 8], depths: [1, 2] });
  const names = [...network.stateDict().keys()].filter((name) => name.endsWith('conv1.weight'));
  expect(names).toEqual([
    'conv1.weight',
    'layer1.0.conv1.weight',
    'layer2.0.conv1.weight',
    'layer2.1.conv1.weight',
  ]);
});

it('freezes BatchNorm everywhere', () => {
  using network = new SmallResNet({ widths: [4, 8], frozenBatchNorm: true });
  const layers = [...network.namedModules()].filter(([, module]) => module instanceof nn.BatchNorm2d);
  expect(layers).toHaveLength(6);
  expect(layers.every(([, layer]) => layer instanceof nn.BatchNorm2d && layer.frozen)).toBe(true);
});

it('wants one depth for each width', () => {
  expect(() => new SmallResNet({ widths: [] })).toThrow('SmallResNet: widths: expected a list');
  expect(() => new SmallResNet({ widths: [4, 8], depths: [1] })).toThrow(
    'depths: expected one number, or as many as there are widths, 2; got 1',
  );
});

describeWithPython('small ResNet against PyTorch', ['torch', 'numpy'], () => {
  it('gives the same features and gradients, whatever the shortcuts', () => {
    const generator = new Generator(4);
    scope(() => {
      const networks = (['average', 'strided'] as const).map((shortcut) => {
        const network = new SmallResNet({ widths: [8, 12, 16], depths: [1, 2, 1], shortcut, generator });
        return { shortcut, network: network.to({ dtype: 'float64' }) };
      });
      const images = randn([4, 3, 24, 24], { generator, dtype: 'float64' });
      const weight = randn([4, 16, 3, 3], { generator, dtype: 'float64' });
      const cases = networks.map(({ shortcut, network }) => {
        return { shortcut, state: Object.fromEntries(network.stateDict()) };
      });
      const expected = runPython<{ features: Tensor; gradients: Record<string, Tensor> }[]>(
        `
          import torch.nn.functional as F
          def run(state, shortcut):
              for k, v in state.items():
                  if v.is_floating_point() and 'running' not in k: v.requires_grad_()
              def conv(x, name, stride=1):
                  w = state[name + '.weight']
                  return F.conv2d(x, w, None, stride, w.shape[-1] // 2)
              def norm(x, name):
                  return F.batch_norm(x, None, None, state[name + '.weight'], state[name + '.bias'], True)
              def block(x, name, stride):
                  y = F.relu(norm(conv(x, name + 'conv1', stride), name + 'bn1'))
                  y = norm(conv(y, name + 'conv2'), name + 'bn2')
                  if name + 'downsample.0.weight' in state:
                      if shortcut == 'average':
                          x, stride = F.avg_pool2d(x, stride), 1
                      x = norm(conv(x, name + 'downsample.0', stride), name + 'downsample.1')
                  return F.relu(x + y)
              x = F.relu(norm(conv(input['images'], 'conv1', 2), 'bn1'))
              for name, stride in [('layer1.0.', 1), ('layer2.0.', 2), ('layer2.1.', 1), ('layer3.0.', 2)]:
                  x = block(x, name, stride)
              (x * input['weight']).sum().backward()
              return {'features': x, 'gradients': {k: v.grad for k, v in state.items() if v.requires_grad}}
          output = [run(case['state'], case['shortcut']) for case in input['cases']]
        `,
        { images, weight, cases },
      );
      const error = (got: Tensor, want: Tensor) => got.sub(want).abs().max().item() / want.abs().max().item();
      for (const [i, { shortcut, network }] of networks.entries()) {
        const want = expected[i] as (typeof expected)[number];
        const features = network.features(images);
        features.mul(weight).sum().backward();
        expect(error(features, want.features), shortcut).toBeLessThan(1e-12);
        for (const [name, parameter] of network.namedParameters()) {
          const gradient = want.gradients[name] as Tensor;
          expect(error(parameter.grad as Tensor, gradient), `${shortcut} ${name}`).toBeLessThan(1e-11);
        }
        network.dispose();
      }
    });
  });
});
