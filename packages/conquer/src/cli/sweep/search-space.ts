import { UserError } from '@conquer-dml/run';
import { Random } from '../../random.js';

/** A value of a field of an experiment, as JSON has it. */
export type FieldValue = string | number | boolean | null | FieldValue[] | { [name: string]: FieldValue };

/** What a field is tried with, as a sweep of W&B has it under `parameters`. */
export type Choice =
  | { values: FieldValue[] }
  | { distribution: 'uniform' | 'int_uniform' | 'log_uniform_values'; min: number; max: number };

/** By path, such as `loss.margin`. */
export type SearchSpace = Readonly<Record<string, Choice>>;

/** One of a space: a value for each path. */
export type Point = Readonly<Record<string, FieldValue>>;

const FORMS =
  'FIELD=A,B,C (values, or JSON of a list of them), FIELD=MIN..MAX (whole numbers between whole numbers), or FIELD=MIN..MAX:log';

/**
 * Reads what a field is tried with: `loss.margin=0.1,0.2`, `loss=[{"name":"margin"},{"name":"triplet"}]`, `optimize.learningRate=1e-5..1e-3:log`.
 *
 * @throws UserError for anything else
 */
export function choiceOf(text: string): [path: string, choice: Choice] {
  const at = text.indexOf('=');
  const [path, given] = [text.slice(0, at), text.slice(at + 1)];
  const refused = () => new UserError(`expected ${FORMS}, got ${JSON.stringify(text)}`);
  if (!/^\w+(\.\w+)*$/.test(path) || at < 0 || given === '') throw refused();
  const range = /^([^.,]*(?:\.\d+)?(?:e[+-]?\d+)?)\.\.([^,:]+?)(:log)?$/i.exec(given);
  if (range) {
    const [min, max] = [Number(range[1] || Number.NaN), Number(range[2])];
    const log = range[3] !== undefined;
    if (!(Number.isFinite(min) && Number.isFinite(max) && min < max && (!log || min > 0))) throw refused();
    const whole = Number.isInteger(min) && Number.isInteger(max);
    const distribution = log ? 'log_uniform_values' : whole ? 'int_uniform' : 'uniform';
    return [path, { distribution, min, max }];
  }
  return [
    path,
    { values: given.startsWith('[') ? listOf(given, refused) : given.split(',').map(fieldValue) },
  ];
}

function listOf(text: string, refused: () => UserError): FieldValue[] {
  const list = fieldValue(text);
  if (!Array.isArray(list) || list.length === 0) throw refused();
  return list;
}

/** JSON where it is some, else a text. */
export function fieldValue(text: string): FieldValue {
  try {
    return JSON.parse(text) as FieldValue;
  } catch {
    return text;
  }
}

/** All of a space, the last field's values one after the other. @throws UserError where a field has a range */
export function gridOf(space: SearchSpace): Point[] {
  let points: Point[] = [{}];
  for (const [path, choice] of Object.entries(space)) {
    if (!('values' in choice))
      throw new UserError(
        `a grid: expected values of ${path}, got a range from ${choice.min} to ${choice.max}: draw from it at random`,
      );
    points = points.flatMap((point) => choice.values.map((value) => ({ ...point, [path]: value })));
  }
  return points;
}

/** Some of a space, drawn independently; the first are the same however many there are. */
export function drawnFrom(space: SearchSpace, count: number, seed: number): Point[] {
  const random = new Random(seed);
  return Array.from({ length: count }, () =>
    Object.fromEntries(Object.entries(space).map(([path, choice]) => [path, drawn(choice, random)])),
  );
}

function drawn(choice: Choice, random: Random): FieldValue {
  if ('values' in choice) return choice.values[random.int(choice.values.length)]!;
  const { distribution, min, max } = choice;
  if (distribution === 'int_uniform') return min + random.int(max - min + 1);
  if (distribution === 'uniform') return random.uniform(min, max);
  return Math.exp(random.uniform(Math.log(min), Math.log(max)));
}
