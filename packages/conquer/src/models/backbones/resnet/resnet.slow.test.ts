import { describeWithPython, runPython } from '@conquer-dml/testing/python';
import { Generator, nn, randn, scope, type Tensor } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import { ResNet } from './resnet.js';
import type { ResNetName } from './resnet-shape.js';

const resNetNames = ['resnet18', 'resnet34', 'resnet50', 'resnet101', 'resnet152'] as const;

/** The largest difference, relative to the largest number of the peer. */
function relativeError(got: Tensor, want: Tensor): number {
  return got.sub(want).abs().max().item() / want.abs().max().item();
}

describeWithPython('ResNets against torchvision', ['torch', 'torchvision', 'numpy'], () => {
  it('have the names and shapes of all five', () => {
    const expected = runPython<Record<string, [string, number[]][]>>(
      `
        import torchvision
        output = {name: [[k, list(v.shape)] for k, v in getattr(torchvision.models, name)().state_dict().items()]
                  for name in input}
      `,
      resNetNames,
    );
    for (const name of resNetNames) {
      using network = new ResNet(name);
      const got = Array.from(network.stateDict(), ([key, tensor]) => [key, tensor.shape]);
      expect(got).toEqual(expected[name]?.filter(([key]) => !key.startsWith('fc.')));
    }
  });

  // In float64 what is left is the order of additions in convolutions: some 1e-15 a layer.
  it.each<[ResNetName, boolean]>([
    ['resnet18', false],
    ['resnet18', true],
    ['resnet50', true],
  ])('give the same features and gradients: %s, frozen BatchNorm %s', (name, frozen) => {
    const generator = new Generator(5);
    using network = new ResNet(name, { frozenBatchNorm: frozen, generator }).to({ dtype: 'float64' });
    scope(() => {
      // Statistics and affine parameters away from 0 and 1, so that none of them may be left out.
      for (const [, layer] of network.namedModules()) {
        if (!(layer instanceof nn.BatchNorm2d) || layer.weight === null || layer.bias === null) continue;
        nn.init.uniform_(layer.weight, 0.5, 1.5, { generator });
        nn.init.normal_(layer.bias, 0, 0.2, { generator });
        nn.init.normal_(layer.runningMean, 0, 0.2, { generator });
        nn.init.uniform_(layer.runningVar, 0.5, 1.5, { generator });
      }
      const images = randn([3, 3, 64, 64], { generator, dtype: 'float64' });
      const weight = randn([3, network.featureSize, 2, 2], { generator, dtype: 'float64' });
      const state = Object.fromEntries(network.stateDict());
      const expected = runPython<{
        features: Tensor;
        gradients: Record<string, Tensor>;
        buffers: Record<string, Tensor>;
      }>(
        `
          import torch, torchvision
          model = getattr(torchvision.models, input['name'])().double()
          model.fc = model.avgpool = torch.nn.Identity()
          model.load_state_dict(input['state'])
          model.train()
          if input['frozen']:
              for m in model.modules():
                  if isinstance(m, torch.nn.BatchNorm2d): m.eval()
          x = model.maxpool(model.relu(model.bn1(model.conv1(input['images']))))
          features = model.layer4(model.layer3(model.layer2(model.layer1(x))))
          (features * input['weight']).sum().backward()
          output = {'features': features,
                    'gradients': {k: p.grad for k, p in model.named_parameters()},
                    'buffers': {k: b for k, b in model.named_buffers() if 'running' in k}}
        `,
        { name, frozen, state, images, weight },
      );
      const features = network.features(images);
      features.mul(weight).sum().backward();

      expect(relativeError(features, expected.features)).toBeLessThan(1e-12);
      expect(Object.keys(expected.gradients)).toEqual(Array.from(network.namedParameters(), ([key]) => key));
      for (const [key, parameter] of network.namedParameters()) {
        const error = relativeError(parameter.grad as Tensor, expected.gradients[key] as Tensor);
        expect(error, key).toBeLessThan(1e-11);
      }
      const after = network.stateDict();
      for (const [key, value] of Object.entries(expected.buffers)) {
        expect(relativeError(after.get(key) as Tensor, value), key).toBeLessThan(1e-12);
      }
    });
  });
});
