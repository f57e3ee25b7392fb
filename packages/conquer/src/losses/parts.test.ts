import { F, Generator, randn, scope } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { alternatives, type JsonSchema, jsonSchemaOf, OptionError } from '../option-error.js';
import { withDefaults } from '../part.js';
import { Loss } from './loss.js';
import { losses } from './losses.js';

const labels = Int32Array.of(0, 0, 1, 1, 2);
const tuples = {
  anchors: Int32Array.of(0, 1, 2, 3),
  positives: Int32Array.of(1, 0, 3, 2),
  negatives: Int32Array.of(2, 4, 0, 4),
};
const context = () => ({ numClasses: 3, embeddingDim: 6, generator: new Generator(1), compat: null });

/** A value that the option must not take. */
const outOfRange = (schema: JsonSchema) => {
  const [{ minimum, type, items } = {} as JsonSchema] = alternatives(schema);
  if (items) return [];
  return type === 'boolean' ? 'yes' : minimum === undefined ? 'much' : minimum - 1;
};

describe.each(losses.map((loss) => [loss.name, loss] as const))('loss %s', (_, loss) => {
  const properties = Object.entries(jsonSchemaOf(loss.options).properties ?? {});

  it('builds with its defaults, and has a value', () => {
    const built = loss.build(withDefaults('loss', loss.options, {}) as never, context());
    expect(built).toBeInstanceOf(Loss);
    const value = scope(() =>
      built.ofBatch(F.normalize(randn([5, 6])), labels, built.usesTuples ? tuples : null).item(),
    );
    expect(Number.isFinite(value)).toBe(true);
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
        withDefaults('loss', loss.options, given as never);
      } catch (error) {
        return error;
      }
      return null;
    };
    const unknown = refusal({ wrongOption: 1 });
    expect(unknown).toBeInstanceOf(OptionError);
    expect(unknown).toMatchObject({
      path: 'wrongOption',
      problem: expect.stringMatching(/^unknown option; expected \w+/),
    });
    expect(properties.length).toBeGreaterThan(0);
    for (const [option, schema] of properties) {
      const error = refusal({ [option]: outOfRange(schema) });
      expect(error).toBeInstanceOf(OptionError);
      expect(error).toMatchObject({
        path: option,
        problem: expect.stringMatching(/^expected (an integer|a number|true or false|one of|a list).*, got /),
      });
    }
  });
});

it.each([
  ['margin', 'revisiting-dml', { margin: 1 }],
  ['arcface', 'revisiting-dml', {}],
  ['triplet-all', 'dcesml', {}],
] as const)('%s is told to be compatible with %s', (name, compat, given) => {
  const loss = losses.find((one) => one.name === name)!;
  const x = F.normalize(randn([5, 6], { generator: new Generator(3) }));
  const value = (as: typeof compat | null) =>
    scope(() =>
      loss
        .build(withDefaults('loss', loss.options, given as never) as never, { ...context(), compat: as })
        .ofBatch(x, labels, tuples)
        .item(),
    );
  expect(value(compat)).not.toBe(value(null));
});

it('every loss has a name of its own', () => {
  expect(new Set(losses.map(({ name }) => name)).size).toBe(losses.length);
});
