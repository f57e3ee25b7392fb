import { type Settings, type StoredExperiment, settingsOf, toStore, valueAt } from '@conquer-dml/run';
import { optionsOf } from '../experiment/part-options.js';
import { weightWords } from '../models/weights/weight-words.js';

/**
 * What may differ in a run that goes on, as it is not the experiment: how long it is, where its files and processors are,
 * who follows it, and what happens to images and numbers that go bad from now on.
 */
const mayChange = [
  'train.epochs',
  'train.device',
  'train.precision',
  'train.threads',
  'train.onNan',
  'model.tuning.keptGigabytes',
  'optimize.afterEnd',
  'optimize.courses',
  'data.dataset.folder',
  'data.dataset.file',
  'data.onBadImage',
];

/** Names of files, which may lie elsewhere than they did; a word in the place of one may not change. */
const files: Record<string, readonly string[]> = {
  'data.dataset.split': ['half', 'random'],
  'model.weights': weightWords,
};

/** What an experiment's loss and miner are, built. */
export interface BuiltParts {
  loss: object;
  miner: object | null;
}

/**
 * The settings of an experiment that differ, each as `path: before → now`; none where it is the same. One that either
 * side does not know, as older versions do not, counts as the same.
 *
 * @param built of `now`: by them it is compared with an experiment whose parts were code of one's own
 */
export function experimentDifferences(
  before: StoredExperiment,
  now: object,
  built: BuiltParts | null = null,
): string[] {
  const [then, after] = [listed(before), listed({ ...now, ...(built && describedAsIn(before, now, built)) })];
  const isFile = (path: string, value: unknown) =>
    path in files && typeof value === 'string' && !files[path]?.includes(value);
  const other = Object.keys(then).flatMap((path) => otherKind(path, then, after));
  const values = Object.keys(then)
    .filter((path) => path in after && !mayChange.includes(path) && !path.startsWith('track'))
    .filter((path) => {
      const [a, b] = [then[path], after[path]];
      // A list of class names, or weights, may lie elsewhere, and a data set of one's own be called otherwise.
      if (path === 'data.dataset.own' || (isFile(path, a) && isFile(path, b))) return false;
      return path.endsWith('.options') ? !sameOptions(a, b) : a !== b;
    })
    .map((path) => `${path}: ${JSON.stringify(then[path])} → ${JSON.stringify(after[path])}`);
  return [...other, ...values];
}

/** Code of one's own in the place of a part, or the other way round. A data set is compared by its images. */
function otherKind(path: string, then: Settings, after: Settings): string[] {
  const [, part, kind] = /^(.+)\.(name|own)$/.exec(path) ?? [];
  const now = after[`${part}.${kind === 'name' ? 'own' : 'name'}`];
  if (part === undefined || now === undefined || part === 'data.dataset') return [];
  const [before, came] = [then[path], now].map((name) => JSON.stringify(name));
  const own = ", code of one's own";
  return [`${part}: ${before}${kind === 'own' ? own : ''} → ${came}${kind === 'name' ? own : ''}`];
}

/** The parts that `before` knows as code only, described likewise. */
function describedAsIn(before: object, now: object, { loss, miner }: BuiltParts): object {
  const described = (section: string, part: object) =>
    valueAt(before, `${section}.own`) === undefined || valueAt(now, `${section}.own`) !== undefined
      ? {}
      : { [section]: { own: part.constructor.name, options: optionsOf(part) } };
  return { ...described('loss', loss), ...(miner && described('miner', miner)) };
}

const listed = (experiment: object): Settings => settingsOf(toStore(experiment)) ?? {};

/** Of code of one's own: the fields that both sides know. */
function sameOptions(a: unknown, b: unknown): boolean {
  const [then, now] = [parsed(a), parsed(b)];
  return Object.keys(then).every(
    (name) => !(name in now) || JSON.stringify(then[name]) === JSON.stringify(now[name]),
  );
}

function parsed(text: unknown): Record<string, unknown> {
  try {
    return JSON.parse(String(text)) as Record<string, unknown>;
  } catch {
    return {};
  }
}
