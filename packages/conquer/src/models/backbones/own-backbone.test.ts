import { F, Generator, liveTensors, nn, noGrad, randn, scope, type Tensor } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { EmbeddingModel } from '../embedding-model.js';
import { loadWeights } from '../weights/weights.js';

/** A convolution whose maps are handed out as they are, as tokens, or pooled. */
class Patches extends nn.Module {
  readonly patch = new nn.Conv2d(3, 5, 4, { stride: 4, generator: new Generator(1) });

  constructor(private readonly gives: 'maps' | 'tokens' | 'vectors') {
    super();
  }

  features(images: Tensor): Tensor {
    return scope(() => {
      const maps = this.patch.forward(images);
      if (this.gives === 'maps') return maps;
      return this.gives === 'tokens'
        ? maps.flatten(2).transpose(1, 2)
        : F.adaptiveAvgPool2d(maps, 1).flatten(1);
    });
  }
}

const images = randn([2, 3, 16, 16], { generator: new Generator(2) });
const head = { embeddingDim: 6, dropout: 0 };

describe('a module of your own', () => {
  it('is a backbone, whether it gives maps, tokens or vectors', () => {
    const embedded = (['maps', 'tokens', 'vectors'] as const).map((gives) => {
      const before = liveTensors();
      const model = new EmbeddingModel(new Patches(gives), { ...head, generator: new Generator(3) });
      expect([model.featureSize, model.backbone.name]).toEqual([5, 'Patches']);
      expect([...model.stateDict().keys()]).toEqual([
        ...['patch.weight', 'patch.bias', 'embedding.weight', 'embedding.bias', 'masks.0'],
      ]);
      const rows = noGrad(() => scope(() => [...model.embed(images).toNumbers()]));
      model.dispose();
      expect(liveTensors()).toBe(before);
      return rows;
    });
    const close = embedded[0]!.map((value) => expect.closeTo(value, 5));
    expect(embedded.slice(1)).toEqual([close, close]);
  });

  it('pools tokens by their maximum too', () => {
    const rows = (gives: 'maps' | 'tokens') => {
      using model = new EmbeddingModel(new Patches(gives), {
        ...head,
        pooling: 'max',
        generator: new Generator(3),
      });
      return noGrad(() => scope(() => [...model.embed(images).toNumbers()]));
    };
    expect(rows('tokens')).toEqual(rows('maps').map((value) => expect.closeTo(value, 5)));
  });

  it('trains with the rest, and says what it lacks', () => {
    using model = new EmbeddingModel(new Patches('tokens'), head);
    const { backbone } = model.parameterGroups();
    expect(model.backbone.parametersByDepth()).toEqual([backbone]);
    scope(() =>
      model
        .embed(images)
        .square()
        .sum(1)
        .mul(randn([2]))
        .sum()
        .backward(),
    );
    expect(backbone[0]?.grad).not.toBeNull();
    const linear = new nn.Linear(2, 2) as unknown as Patches;
    expect(() => new EmbeddingModel(linear)).toThrow('Linear: expected a module with features(images)');
    linear.dispose();
    expect(() => loadWeights(model.backbone, 'none.pth')).toThrow(/there is no file/);
  });
});
