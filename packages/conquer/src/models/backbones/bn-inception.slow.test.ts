import { describeWithPython, runPython } from '@conquer-dml/testing/python';
import { aten, Generator, nn, noGrad, ones, randn, scope, type Tensor } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { BNInception } from './bn-inception.js';

/** The published layout in PyTorch: for each block the output channels of its branches, and how it pools. */
const PEER = `
  import torch, torch.nn.functional as F
  # 1x1, 3x3 reduce, 3x3, double reduce, double, projection (0: none, then stride 2), pooling
  layout = '''
    3a  64  64  64  64  96  32 avg
    3b  64  64  96  64  96  64 avg
    3c   0 128 160  64  96   0 max
    4a 224  64  96  96 128 128 avg
    4b 192  96 128  96 128 128 avg
    4c 160 128 160 128 160 128 avg
    4d  96 128 192 160 192 128 avg
    4e   0 128 192 192 256   0 max
    5a 352 192 320 160 224 128 avg
    5b 352 192 320 192 224 128 max
  '''
  rows = [(row[0], *map(int, row[1:-1]), row[-1]) for row in map(str.split, layout.strip().splitlines())]

  class Network(torch.nn.Module):
      def __init__(self):
          super().__init__()
          self.add('conv1_7x7_s2', 3, 64, 7)
          self.add('conv2_3x3_reduce', 64, 64, 1)
          self.add('conv2_3x3', 64, 192, 3)
          channels = 192
          for block, one, reduce, three, double_reduce, double, projection, _ in rows:
              name = 'inception_' + block
              if one: self.add(name + '_1x1', channels, one, 1)
              self.add(name + '_3x3_reduce', channels, reduce, 1)
              self.add(name + '_3x3', reduce, three, 3)
              self.add(name + '_double_3x3_reduce', channels, double_reduce, 1)
              self.add(name + '_double_3x3_1', double_reduce, double, 3)
              self.add(name + '_double_3x3_2', double, double, 3)
              if projection: self.add(name + '_pool_proj', channels, projection, 1)
              channels = one + three + double + (projection or channels)
      def add(self, name, inputs, outputs, size):
          self.add_module(name, torch.nn.Conv2d(inputs, outputs, size, padding=size // 2))
          self.add_module(name + '_bn', torch.nn.BatchNorm2d(outputs))
      def layer(self, name, x, stride=1):
          conv = getattr(self, name)
          x = F.conv2d(x, conv.weight, conv.bias, stride, conv.padding)
          return F.relu(getattr(self, name + '_bn')(x))
      def forward(self, x):
          x = F.max_pool2d(self.layer('conv1_7x7_s2', x, 2), 3, 2, ceil_mode=True)
          x = self.layer('conv2_3x3', self.layer('conv2_3x3_reduce', x))
          x = F.max_pool2d(x, 3, 2, ceil_mode=True)
          shapes = []
          for block, one, _, _, _, _, projection, pooling in rows:
              name, stride = 'inception_' + block, 1 if one else 2
              double = self.layer(name + '_double_3x3_1', self.layer(name + '_double_3x3_reduce', x))
              branches = [self.layer(name + '_3x3', self.layer(name + '_3x3_reduce', x), stride),
                          self.layer(name + '_double_3x3_2', double, stride)]
              if not one:
                  branches.append(F.max_pool2d(x, 3, 2, ceil_mode=True))
              else:
                  pool = F.avg_pool2d if pooling == 'avg' else F.max_pool2d
                  branches.append(self.layer(name + '_pool_proj', pool(x, 3, 1, 1)))
                  branches.insert(0, self.layer(name + '_1x1', x))
              x = torch.cat(branches, 1)
          return x
`;

it('has the parameters of the published trunk and its maps', () => {
  using network = new BNInception();
  expect(network.parameters().reduce((sum, parameter) => sum + parameter.numel(), 0)).toBe(10_270_240);
  network.eval();
  const shape = (size: number) => {
    using images = ones([1, 3, size, size]);
    using features = noGrad(() => network.features(images));
    return features.shape;
  };
  expect(shape(224)).toEqual([1, 1024, 7, 7]);
  expect(shape(227)).toEqual([1, 1024, 7, 7]);
  expect(() => shape(108)).toThrow(
    /expected images of 102 or 127 pixels, the nearest that it takes, got 108×108/,
  );
});

it.each([
  ['(1, C), as the published file has them', [1, -1]],
  ['(1, C, 1, 1), as from Caffe', [1, -1, 1, 1]],
])('takes BatchNorm vectors of shape %s', (_, shape) => {
  using source = new BNInception({ generator: new Generator(1) });
  using target = new BNInception({ generator: new Generator(2) });
  scope(() => {
    nn.init.uniform_(source.stateDict().get('inception_4c_1x1_bn.running_mean') as Tensor);
    const published = new Map<string, Tensor>();
    for (const [name, value] of source.stateDict()) {
      if (name.endsWith('num_batches_tracked')) continue;
      published.set(name, name.includes('_bn.') ? value.view(shape) : value);
    }
    target.loadPretrained(published);
    const loaded = target.stateDict();
    for (const [name, value] of source.stateDict()) {
      expect(aten.equal(loaded.get(name) as Tensor, value), name).toBe(true);
    }
  });
});

it('takes blue first, 0 to 255, with the means of Caffe', () => {
  using network = new BNInception();
  expect(network.input).toEqual({
    ...{ size: 224, channels: 'BGR', scale: 255 },
    ...{ mean: [104, 117, 128], std: [1, 1, 1] },
  });
});

describeWithPython('BN-Inception against PyTorch', ['torch', 'numpy'], () => {
  it('has the names and shapes, and the same features and gradients, of the published layout', () => {
    const generator = new Generator(6);
    using network = new BNInception({ generator }).to({ dtype: 'float64' });
    scope(() => {
      // Away from 0 and 1, so that no statistic, bias or ReLU may be left out.
      for (const [, layer] of network.namedModules()) {
        if (layer instanceof nn.Conv2d) {
          nn.init.kaimingNormal_(layer.weight, { nonlinearity: 'relu', generator });
        } else if (layer instanceof nn.BatchNorm2d) {
          nn.init.uniform_(layer.weight as Tensor, 0.5, 1.5, { generator });
          nn.init.normal_(layer.bias as Tensor, 0, 0.2, { generator });
        }
      }
      const images = randn([2, 3, 96, 96], { generator, dtype: 'float64' });
      const weight = randn([2, 1024, 3, 3], { generator, dtype: 'float64' });
      const expected = runPython<{
        shapes: [string, number[]][];
        features: Tensor;
        gradients: Record<string, Tensor>;
        buffers: Record<string, Tensor>;
      }>(
        `
          ${PEER.split('\n').join('\n        ').trim()}
          network = Network().double()
          network.load_state_dict(input['state'])
          features = network(input['images'])
          (features * input['weight']).sum().backward()
          output = {'shapes': [[k, list(v.shape)] for k, v in network.state_dict().items()],
                    'features': features,
                    'gradients': {k: p.grad for k, p in network.named_parameters()},
                    'buffers': {k: b for k, b in network.named_buffers() if 'running' in k}}
        `,
        { state: Object.fromEntries(network.stateDict()), images, weight },
      );
      expect(Array.from(network.stateDict(), ([name, { shape }]) => [name, [...shape]])).toEqual(
        expected.shapes,
      );
      const features = network.features(images);
      features.mul(weight).sum().backward();
      const error = (got: Tensor, want: Tensor) => got.sub(want).abs().max().item() / want.abs().max().item();
      expect(error(features, expected.features)).toBeLessThan(1e-12);
      const largest = (want: Tensor) => want.abs().max().item();
      for (const [name, parameter] of network.namedParameters()) {
        const [got, want] = [parameter.grad as Tensor, expected.gradients[name] as Tensor];
        // BatchNorm takes the mean away, so a convolution's bias has a gradient of 0 but for rounding.
        if (name.endsWith('.bias') && !name.includes('_bn.')) expect(largest(got), name).toBeLessThan(1e-9);
        else expect(error(got, want), name).toBeLessThan(1e-10);
      }
      const after = network.stateDict();
      for (const [name, value] of Object.entries(expected.buffers)) {
        expect(error(after.get(name) as Tensor, value), name).toBeLessThan(1e-12);
      }
    });
  });
});
