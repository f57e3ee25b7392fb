import { type Settings, type StoredExperiment, settingsOf, toStore } from '@conquer/run';

/**
 * What may differ in a run that goes on, as it is not the experiment: how long it is, where its files and processors are,
 * who follows it, and what happens to images and numbers that go bad from now on.
 */
const mayChange = [
  'train.epochs',
  'train.device',
  'train.threads',
  'train.onNan',
  'optimize.afterEnd',
  'optimize.courses',
  'data.dataset.folder',
  'data.dataset.file',
  'data.onBadImage',
];

/** Names of files, which may lie elsewhere than they did; a word in the place of one may not change. */
const files: Record<string, readonly string[]> = {
  'data.dataset.split': ['half', 'random'],
  'model.weights': ['imagenet'],
};

/**
 * The settings of an experiment that differ, each as `path: before → now`; none where it is the same. One that either
 * side does not know, as older versions do not, counts as the same.
 */
export function experimentDifferences(before: StoredExperiment, now: StoredExperiment): string[] {
  const [then, after] = [listed(before), listed(now)];
  const isFile = (path: string, value: unknown) =>
    path in files && typeof value === 'string' && !files[path]?.includes(value);
  return Object.keys(then)
    .filter((path) => path in after && !mayChange.includes(path) && !path.startsWith('track'))
    .filter((path) => {
      const [a, b] = [then[path], after[path]];
      // A list of class names, or weights, may lie elsewhere, and a data set of one's own be called otherwise.
      if (path === 'data.dataset.own' || (isFile(path, a) && isFile(path, b))) return false;
      return path.endsWith('.options') ? !sameOptions(a, b) : a !== b;
    })
    .map((path) => `${path}: ${JSON.stringify(then[path])} → ${JSON.stringify(after[path])}`);
}

const listed = (experiment: StoredExperiment): Settings => settingsOf(toStore(experiment)) ?? {};

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
