import { liveTensors, noGrad, ones, optim, scope } from '@conquer-dml/torch';
import { describe, expect, it } from 'vitest';
import { type JsonSchema, jsonSchemaOf, OptionError } from '../option-error.js';
import { type AnyPart, withDefaults } from '../part.js';
import { optimizers } from './optimizers.js';
import { schedules } from './schedules.js';
import { sgd } from './sgd.js';

/** A value that the option must not take. */
const outOfRange = ({ minimum, type }: JsonSchema) => (type === 'boolean' ? 'yes' : minimum! - 1);

const parts: AnyPart<{ length: number }, unknown>[] = [...optimizers, ...schedules];

describe.each(parts.map((part) => [part.name, part] as const))('%s', (_, part) => {
  const properties = Object.entries(jsonSchemaOf(part.options).properties ?? {});

  it('is built with its defaults, and says what each option is', () => {
    expect(part.build(withDefaults('part', part.options, {}), { length: 4 })).toBeTypeOf('function');
    for (const [option, { description }] of properties) expect(description, option).toMatch(/^\S.{5,109}$/);
  });

  it('refuses an unknown option, and values out of range, in words with the path', () => {
    const given = (options: Record<string, unknown>) => () => withDefaults('part', part.options, options);
    expect(given({ wrongOption: 1 })).toThrow(/^part: wrongOption: unknown option; /);
    for (const [option, schema] of properties) {
      const refused = expect(given({ [option]: outOfRange(schema) }));
      refused.toThrow(OptionError);
      refused.toThrow(new RegExp(`^part: ${option}: expected (a number|an integer|true or false).*, got `));
    }
  });
});

it.each(optimizers.map((one) => [one.name, one] as const))('%s goes downhill', (_, part) => {
  const live = liveTensors();
  scope(() => {
    const x = ones([3]).requiresGrad_();
    const algorithm = part.build(withDefaults('optimizer', part.options, {}) as never, null);
    using optimizer = algorithm([{ name: 'x', params: [x], weightDecay: 0.5 }]);
    optimizer.groups[0]!.lr = 0.1;
    for (let step = 0; step < 3; step++) {
      optimizer.zeroGrad();
      x.square().sum().backward();
      optimizer.step();
    }
    expect(Math.max(...noGrad(() => x.toNumbers()))).toBeLessThan(0.8);
    expect(optimizer.stateDict().groups[0]!.options).toMatchObject({ weightDecay: 0.5 });
  });
  expect(liveTensors()).toBe(live);
});

it('what an optimiser is built with reaches its groups', () => {
  const [adam, adamw] = optimizers;
  for (const part of [adam, adamw]) {
    using optimizer = part.build(
      { beta1: 0.8, beta2: 0.95, eps: 1e-6 },
      null,
    )([{ name: 'x', params: [ones([1])], weightDecay: 0 }]);
    expect(optimizer.groups[0]).toMatchObject({ betas: [0.8, 0.95], eps: 1e-6 });
  }
  using optimizer = sgd.build(
    { momentum: 0.7, nesterov: true },
    null,
  )([{ name: 'x', params: [ones([1])], weightDecay: 0 }]);
  expect(optimizer).toBeInstanceOf(optim.SGD);
  expect(optimizer.groups[0]).toMatchObject({ momentum: 0.7, nesterov: true });
  expect(() => sgd.build({ momentum: 0, nesterov: true }, null)).toThrow(
    /^nesterov: .* expected a momentum above 0/,
  );
});

it.each(schedules.map((one) => [one.name, one] as const))('%s knows whether it has an end', (_, part) => {
  const over = (length: number) => {
    const factor = part.build(withDefaults('schedule', part.options, {}) as never, { length });
    return [0, 5, 31, 62].map((epoch) => factor(epoch));
  };
  expect(JSON.stringify(over(10)) !== JSON.stringify(over(80))).toBe(part.hasEnd);
});
