import { describeWithPython, runPython } from '@conquer-dml/testing/python';
import { Generator, nn, randn, scope, type Tensor } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { VGG } from './vgg.js';

const error = (got: Tensor, want: Tensor) => got.sub(want).abs().max().item() / want.abs().max().item();

describeWithPython('VGG-11 against torchvision', ['torch', 'torchvision', 'numpy'], () => {
  it.each(['vgg11', 'vgg11bn'] as const)('%s gives the same features and gradients', (name) => {
    const generator = new Generator(7);
    using network = new VGG(name, { generator }).to({ dtype: 'float64' });
    scope(() => {
      for (const [, layer] of network.namedModules()) {
        if (layer instanceof nn.Conv2d) nn.init.normal_(layer.bias as Tensor, 0, 0.1, { generator });
        if (!(layer instanceof nn.BatchNorm2d)) continue;
        nn.init.uniform_(layer.weight as Tensor, 0.5, 1.5, { generator });
        nn.init.normal_(layer.bias as Tensor, 0, 0.2, { generator });
      }
      const images = randn([3, 3, 64, 64], { generator, dtype: 'float64' });
      const weight = randn([3, 512, 2, 2], { generator, dtype: 'float64' });
      const expected = runPython<{ features: Tensor; gradients: Record<string, Tensor> }>(
        `
          from torchvision.models import vgg
          features = vgg.make_layers(vgg.cfgs['A'], input['name'] == 'vgg11bn').double()
          features.load_state_dict({k[len('features.'):]: v for k, v in input['state'].items()})
          maps = features(input['images'])
          (maps * input['weight']).sum().backward()
          output = {'features': maps,
                    'gradients': {'features.' + k: p.grad for k, p in features.named_parameters()}}
        `,
        { name, state: Object.fromEntries(network.stateDict()), images, weight },
      );
      const convolutionBiases = new Set(
        Array.from(network.namedModules(), ([, layer]) => (layer instanceof nn.Conv2d ? layer.bias : null)),
      );
      const features = network.features(images);
      features.mul(weight).sum().backward();
      expect(error(features, expected.features)).toBeLessThan(1e-12);
      expect(Object.keys(expected.gradients)).toEqual(Array.from(network.namedParameters(), ([key]) => key));
      for (const [key, parameter] of network.namedParameters()) {
        const gradient = parameter.grad as Tensor;
        // BatchNorm takes the mean away, so a convolution's bias before it has a gradient of 0 but for rounding.
        if (name === 'vgg11bn' && convolutionBiases.has(parameter)) {
          expect(gradient.abs().max().item(), key).toBeLessThan(1e-9);
        } else expect(error(gradient, expected.gradients[key] as Tensor), key).toBeLessThan(1e-11);
      }
    });
  });
});
