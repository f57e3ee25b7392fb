import { F, Generator, randn } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { alternatives, type JsonSchema, jsonSchemaOf, OptionError } from '../option-error.js';
import { withDefaults } from '../part.js';
import { Random } from '../random.js';
import { batchRows } from '../rows.js';
import { asTuples } from '../tuples.js';
import type { DistanceWeightedMiner } from './distance-weighted.js';
import type { FlexibleTripletMiner } from './flexible-triplet.js';
import type { MinerPart } from './miner.js';
import { miners } from './miners.js';

const labels = Int32Array.of(0, 0, 0, 1, 1, 1, 2, 2);
const context = () => ({
  loss: { zeroLossDistance: () => 1.1, semihardMargin: () => 0.7 },
  random: new Random(1),
  compat: null,
});
const build = (miner: MinerPart, given: Record<string, unknown>) =>
  miner.build(withDefaults('miner', miner.options, given), context());

/** A value that the option must not take. */
const outOfRange = (schema: JsonSchema) => {
  const least = alternatives(schema).find(({ minimum }) => minimum !== undefined)?.minimum;
  return least === undefined ? 'of no kind' : least - 1;
};

describe.each(miners.map((miner) => [miner.name, miner as MinerPart] as const))('miner %s', (_, miner) => {
  const properties = Object.entries(jsonSchemaOf(miner.options).properties ?? {});

  it('builds with its defaults, and finds tuples', () => {
    const embeddings = F.normalize(randn([8, 4], { generator: new Generator(2) }));
    const batch = batchRows(embeddings, labels);
    const { anchors, positives, negatives } = asTuples(build(miner, {}).mine(batch, batch));
    expect(anchors.length).toBeGreaterThan(0);
    for (const [i, anchor] of anchors.entries()) {
      expect(labels[positives[i]!]).toBe(labels[anchor]);
      expect(labels[negatives[i]!]).not.toBe(labels[anchor]);
    }
  });

  it('says what each option is', () => {
    for (const [option, { description, default: value }] of properties) {
      expect(description, option).toMatch(/^\S.{5,109}$/);
      expect(value, option).toBeDefined();
    }
  });

  it('refuses an unknown option, and a value out of range, in words with the path', () => {
    const refusal = (given: Record<string, unknown>) => {
      try {
        withDefaults('miner', miner.options, given);
      } catch (error) {
        return error;
      }
      return null;
    };
    const unknown = refusal({ wrongOption: 1 });
    expect(unknown).toBeInstanceOf(OptionError);
    expect(unknown).toMatchObject({
      path: 'wrongOption',
      problem: expect.stringMatching(/^unknown option; (expected \w+|there are none)/),
    });
    for (const [option, schema] of properties) {
      const error = refusal({ [option]: outOfRange(schema) });
      expect(error).toBeInstanceOf(OptionError);
      expect(error).toMatchObject({
        path: option,
        problem: expect.stringMatching(
          /^expected (a number|an integer|true or false|one of \w+, |a list of 2).*, got (-?[\d.]+|"of no kind")$/,
        ),
      });
    }
  });
});

describe('what a loss and a miner both have', () => {
  const named = (name: string) => miners.find((miner) => miner.name === name) as MinerPart;

  it('is asked of the loss, unless it is given', () => {
    const margin = (given: Record<string, unknown>) =>
      (build(named('easy-semihard'), given) as FlexibleTripletMiner).margin;
    expect([margin({}), margin({ margin: null }), margin({ margin: 0 })]).toEqual([0.7, 0.7, 0]);
    const cutoff = (given: Record<string, unknown>) =>
      (build(named('distance-weighted'), given) as DistanceWeightedMiner).nonZeroLossCutoff;
    expect([cutoff({}), cutoff({ nonZeroLossCutoff: null }), cutoff({ nonZeroLossCutoff: 0.9 })]).toEqual([
      undefined,
      undefined,
      0.9,
    ]);
  });
});

it('every miner has a name of its own', () => {
  expect(new Set(miners.map(({ name }) => name)).size).toBe(miners.length);
});
