import { expect, it } from 'vitest';
import { Generator, liveTensors, nn, noGrad, randn, scope } from '../index.js';

const adapted = () => {
  const generator = new Generator(1);
  const layer = new nn.Linear(6, 4, { generator, dtype: 'float64' });
  const adapter = new nn.LowRank(layer, { rank: 2, alpha: 6, generator });
  return Object.assign(layer, { adapter });
};

it('adds nothing at first, and then the product of two narrow matrices', () => {
  using layer = adapted();
  scope(() => {
    const x = randn([3, 5, 6], { generator: new Generator(2), dtype: 'float64' });
    const { adapter } = layer;
    const plain = nn.Linear.prototype.forward.call({ ...layer, adapter: null }, x);
    expect(layer.forward(x).tolist()).toEqual(plain.tolist());
    noGrad(() => nn.init.normal_(adapter.loraB, 0, 1, { generator: new Generator(3) }));
    const merged = layer.weight.add(adapter.loraB.matmul(adapter.loraA).mul(3));
    const wanted = x.matmul(merged.transpose(0, 1)).add(layer.bias!);
    expect(layer.forward(x).sub(wanted).abs().max().item()).toBeLessThan(1e-12);
  });
});

it('stands in the state dict, and learns where the layer itself does not', () => {
  using layer = adapted();
  expect([...layer.stateDict().keys()]).toEqual(['weight', 'bias', 'adapter.lora_a', 'adapter.lora_b']);
  for (const own of [layer.weight, layer.bias!]) own.requiresGrad_(false);
  scope(() => {
    noGrad(() => nn.init.normal_(layer.adapter.loraB, 0, 1, { generator: new Generator(3) }));
    layer
      .forward(randn([3, 6], { generator: new Generator(2), dtype: 'float64' }))
      .square()
      .sum()
      .backward();
  });
  expect(layer.weight.grad).toBe(null);
  for (const learnt of layer.adapter.parameters()) expect(learnt.grad!.abs().max().item()).toBeGreaterThan(0);
});

it('leaves out inputs in training only, drawn from its generator, and no tensor behind', () => {
  using layer = adapted();
  using x = randn([3, 6], { generator: new Generator(2), dtype: 'float64' });
  const dropped = (seed: number) => {
    const dropoutGenerator = new Generator(seed);
    using adapter = new nn.LowRank(layer, {
      rank: 2,
      dropout: 0.5,
      generator: new Generator(4),
      dropoutGenerator,
    });
    noGrad(() => nn.init.normal_(adapter.loraB, 0, 1, { generator: new Generator(3) }));
    const before = liveTensors();
    using trained = adapter.forward(x);
    using evaluated = adapter.eval().forward(x);
    expect(liveTensors()).toBe(before + 2);
    return [trained.tolist(), evaluated.tolist()];
  };
  const [first, again, other] = [dropped(5), dropped(5), dropped(6)];
  expect(again).toEqual(first);
  expect(other[0]).not.toEqual(first[0]);
  expect(other[1]).toEqual(first[1]);
});
