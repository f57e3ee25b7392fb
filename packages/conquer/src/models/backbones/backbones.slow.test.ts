import { describeWithPython, runPython } from '@conquer-dml/testing/python';
import {
  Generator,
  liveTensors,
  nn,
  noGrad,
  ones,
  randn,
  scope,
  type Tensor,
  zeros,
} from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { AlexNet } from './alexnet.js';
import type { Backbone } from './backbone.js';
import { BNInception } from './bn-inception.js';
import { VGG } from './vgg.js';

const make: Record<string, (generator?: Generator) => Backbone> = {
  alexnet: (generator) => new AlexNet({ generator }),
  vgg11: (generator) => new VGG('vgg11', { generator }),
  vgg11bn: (generator) => new VGG('vgg11bn', { generator }),
  'bn-inception': (generator) => new BNInception({ generator }),
};

const names = Object.keys(make);

const shapes = (backbone: Backbone) =>
  Array.from(backbone.stateDict(), ([name, { shape }]) => [name, [...shape]]);

describeWithPython('AlexNet and VGG against torchvision', ['torch', 'torchvision', 'numpy'], () => {
  it('have the names and shapes of the features, and AlexNet the same numbers', () => {
    using network = new AlexNet({ generator: new Generator(3) }).to({ dtype: 'float64' });
    scope(() => {
      const generator = new Generator(4);
      const images = randn([2, 3, 96, 96], { generator, dtype: 'float64' });
      const weight = randn([2, 256, 2, 2], { generator, dtype: 'float64' });
      const expected = runPython<{
        shapes: Record<string, [string, number[]][]>;
        features: Tensor;
        gradients: Record<string, Tensor>;
      }>(
        `
          import torchvision
          from torchvision.models import vgg
          alexnet = torchvision.models.alexnet()
          networks = {'alexnet': alexnet.features, 'vgg11': vgg.make_layers(vgg.cfgs['A'], False),
                      'vgg11bn': vgg.make_layers(vgg.cfgs['A'], True)}
          shapes = {name: [['features.' + k, list(v.shape)] for k, v in network.state_dict().items()]
                    for name, network in networks.items()}
          features = alexnet.features.double()
          features.load_state_dict({k[len('features.'):]: v for k, v in input['state'].items()})
          maps = features(input['images'])
          (maps * input['weight']).sum().backward()
          output = {'shapes': shapes, 'features': maps,
                    'gradients': {'features.' + k: p.grad for k, p in features.named_parameters()}}
        `,
        { state: Object.fromEntries(network.stateDict()), images, weight },
      );
      for (const [name, wanted] of Object.entries(expected.shapes)) {
        using backbone = make[name]?.() as Backbone;
        expect(shapes(backbone), name).toEqual(wanted);
      }
      const features = network.features(images);
      features.mul(weight).sum().backward();
      const error = (got: Tensor, want: Tensor) => got.sub(want).abs().max().item() / want.abs().max().item();
      expect(error(features, expected.features)).toBeLessThan(1e-12);
      for (const [name, parameter] of network.namedParameters()) {
        expect(error(parameter.grad as Tensor, expected.gradients[name] as Tensor), name).toBeLessThan(1e-11);
      }
    });
  });
});

it('VGG starts as torchvision: convolutions N(0, 2 / fan out), biases 0, BatchNorm 1 and 0', () => {
  using network = new VGG('vgg11bn', { generator: new Generator(1) });
  scope(() => {
    for (const [name, layer] of network.namedModules()) {
      if (layer instanceof nn.BatchNorm2d) {
        expect(layer.weight?.toNumbers().every((value) => value === 1)).toBe(true);
        expect(layer.bias?.toNumbers().every((value) => value === 0)).toBe(true);
      } else if (layer instanceof nn.Conv2d) {
        const deviation = Math.sqrt(2 / (layer.outChannels * 9));
        const spread = 5 / Math.sqrt(2 * layer.weight.numel());
        expect(Math.abs(layer.weight.std().item() / deviation - 1), name).toBeLessThan(spread);
        expect(layer.bias?.toNumbers().every((value) => value === 0)).toBe(true);
      }
    }
  });
});

it.each(names)('%s draws its weights from the generator it is given', (name) => {
  const draw = (seed: number) => {
    using network = make[name]?.(new Generator(seed)) as Backbone;
    return network.parameters().map((parameter) => parameter.toNumbers()[0]);
  };
  const first = draw(3);
  expect(draw(3)).toEqual(first);
  expect(draw(4)).not.toEqual(first);
});

it.each(names)('%s loads what it published, leaves the classifier out and nothing else', (name) => {
  using source = make[name]?.(new Generator(1)) as Backbone;
  using target = make[name]?.(new Generator(2)) as Backbone;
  scope(() => {
    const published = new Map<string, Tensor>(source.stateDict());
    const classifier = name === 'bn-inception' ? 'last_linear' : 'classifier.6';
    published.set(`${classifier}.weight`, zeros([10, 4]));
    expect(target.loadPretrained(published)).toEqual([`${classifier}.weight`]);
    const sums = (network: Backbone) => network.parameters().map((parameter) => parameter.sum().item());
    expect(sums(target)).toEqual(sums(source));
    published.set('head.weight', ones([1]));
    expect(() => target.loadPretrained(published)).toThrow(new RegExp(`${name}.*head\\.weight`));
  });
});

it.each(names)('%s frees what a forward pass makes', (name) => {
  using network = make[name]?.() as Backbone;
  using images = randn([1, 3, 64, 64], { generator: new Generator(5) });
  const before = liveTensors();
  for (const run of [() => network.features(images), () => noGrad(() => network.features(images))]) {
    using features = run();
    expect(features.shape).toEqual([1, network.featureSize, ...features.shape.slice(2)]);
    expect(liveTensors()).toBe(before + 1);
  }
});
