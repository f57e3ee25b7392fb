import { Generator, noGrad, randn, scope, type Tensor, tensor } from '@conquer-dml/torch';
import { expect, it } from 'vitest';
import type { Loss, LossPart } from '../losses/loss.js';
import { losses } from '../losses/losses.js';
import { SumLoss } from '../losses/sum.js';
import type { Miner, MinerPart } from '../miners/miner.js';
import { miners } from '../miners/miners.js';
import { SmallResNet } from '../models/backbones/small-resnet.js';
import { EmbeddingModel } from '../models/embedding-model.js';
import { TrainingOptimizer } from '../optimize/training-optimizer.js';
import { withDefaults } from '../part.js';
import { Random } from '../random.js';
import { batchRows } from '../rows.js';
import { TrainingStep } from './step.js';

// Two learners with a mask each learn their halves of a tiny set, by every loss and every miner.

const CLASSES = 4;
const PER_CLASS = 4;
const SIZE = 12;

/** Images of the classes of a half: a pattern of the class, and noise. (16, 3, 12, 12) */
function half(first: number): { images: Tensor; labels: Int32Array } {
  const generator = new Generator(7 + first);
  const patterns = randn([CLASSES, 1, 3, SIZE, SIZE], { generator });
  const noise = randn([CLASSES, PER_CLASS, 3, SIZE, SIZE], { generator });
  return {
    images: patterns
      .mul(0.7)
      .add(noise)
      .view([CLASSES * PER_CLASS, 3, SIZE, SIZE]),
    labels: Int32Array.from({ length: CLASSES * PER_CLASS }, (_, i) => first + Math.floor(i / PER_CLASS)),
  };
}
const halves = [half(0), half(CLASSES)];
const DIM = 16;

/** How much more similar images of one class are than of others: the mean over the half. */
function gapOf(model: EmbeddingModel, learner: number): number {
  return scope(() =>
    noGrad(() => {
      const { images, labels } = halves[learner]!;
      const { embeddings } = batchRows(model.embed(images, { learner }), labels);
      const similarities = embeddings.matmul(embeddings.t());
      const same = tensor(
        Array.from(labels, (a, i) => Array.from(labels, (b, j) => Number(a === b && i !== j))),
      );
      const other = tensor(Array.from(labels, (a) => Array.from(labels, (b) => Number(a !== b))));
      const mean = (mask: Tensor) => similarities.mul(mask).sum().div(mask.sum());
      return mean(same).sub(mean(other)).item();
    }),
  );
}

/** Of each learner what it was before and is afterwards. */
interface Learnt {
  gaps: [number, number][];
  /** Of its first and of its last step. */
  values: [number, number][];
}

function train(make: (generator: Generator) => { loss: Loss; miner: Miner | null }): Learnt {
  const generator = new Generator(1);
  using model = new EmbeddingModel(new SmallResNet({ widths: [8, 16], generator }), {
    embeddingDim: DIM,
    dropout: 0,
    generator,
    masks: { numLearners: 2, initialisation: 'normal', generator },
  });
  const { loss, miner } = make(generator);
  using _ = loss;
  using optimizer = new TrainingOptimizer(model, loss, {
    learningRate: 3e-3,
    lossLearningRate: 3e-3,
    weightDecay: 0,
  });
  const step = new TrainingStep({ model, loss, miner, optimizer, maskLambda: 0.01 });
  const before = [0, 1].map((learner) => gapOf(model, learner));
  const values: [number[], number[]] = [[], []];
  for (let i = 0; i < 30; i++) {
    for (const [learner, { images, labels }] of halves.entries()) {
      const { skipped, metricLoss } = step.run({ images, labels, learner, fullEmbedding: false });
      if (skipped === null) expect(Number.isFinite(metricLoss)).toBe(true);
      if (metricLoss !== null) values[learner]!.push(metricLoss);
    }
  }
  return {
    gaps: before.map((gap, learner) => [gap, gapOf(model, learner)]),
    values: values.map((each) => [each[0]!, each.at(-1)!]),
  };
}

const context = (generator: Generator) => ({
  numClasses: 2 * CLASSES,
  embeddingDim: DIM,
  generator,
  compat: null,
});
const lossOf = (name: string, given: object, generator: Generator): Loss => {
  const part: LossPart = losses.find((one) => one.name === name)!;
  return part.build(withDefaults('loss', part.options, given as never), context(generator));
};
const minerOf = (name: string, loss: Loss): Miner => {
  const part: MinerPart = miners.find((one) => one.name === name)!;
  return part.build(withDefaults('miner', part.options, {}), { loss, random: new Random(1), compat: null });
};

/** Beside another loss. */
const terms = ['embedding-norm', 'centre', 'koleo'];
const options: Record<string, object> = {
  'nt-xent': { temperature: 0.2 },
  // Its defaults are for longer trainings.
  'potential-field': { proxiesPerClass: 2, alpha: 2, delta: 0.7 },
};

const learnt = ([before, after]: [number, number]) => expect(after).toBeGreaterThan(before + 0.1);

it.each(losses.filter(({ name }) => !terms.includes(name)).map(({ name }) => name))(
  'two learners learn by the loss %s',
  (name) => {
    const { gaps } = train((generator) => {
      const loss = lossOf(name, options[name] ?? {}, generator);
      return { loss, miner: loss.usesTuples ? minerOf('distance-weighted', loss) : null };
    });
    gaps.forEach(learnt);
  },
);

it.each(miners.map(({ name }) => name))('two learners learn by what the miner %s finds', (name) => {
  const { gaps } = train((generator) => {
    const loss = lossOf('sup-con', { mined: true, form: 'authors', temperature: 0.3 }, generator);
    return { loss, miner: minerOf(name, loss) };
  });
  gaps.forEach(learnt);
});

it('two learners learn by a sum of losses, of tuples, of pairs, of proxies, and terms beside them', () => {
  const { gaps } = train((generator) => {
    const names = ['margin', 'circle', 'proxy-anchor', 'threshold-consistent-margin', ...terms];
    const loss = new SumLoss(
      names.map((name) => ({
        loss: lossOf(name, name === 'circle' ? { mined: true } : {}, generator),
        weight: terms.includes(name) ? 0.01 : 1,
      })),
    );
    return { loss, miner: minerOf('multi-similarity', loss) };
  });
  gaps.forEach(learnt);
});

it.each(terms)('two learners do alone what the term %s asks for', (name) => {
  const { values } = train((generator) => ({ loss: lossOf(name, {}, generator), miner: null }));
  // KoLeo's may be below 0.
  for (const [first, last] of values) expect(last).toBeLessThan(first - 0.1 * Math.abs(first));
});
