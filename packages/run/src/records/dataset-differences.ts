import { counted } from '../counted.js';
import type { DatasetRecord } from './dataset-record.js';

/** How many names are told of each kind of difference. */
const SHOWN = 3;

const listed = (names: readonly string[]) =>
  `${names.slice(0, SHOWN).join(', ')}${names.length > SHOWN ? ', …' : ''}`;

/** Where each name is: in which splits, and of which class there. */
function placesOf(record: DatasetRecord, kind: 'file' | 'class'): Map<string, string> {
  const places = new Map<string, string>();
  for (const [split, { classNames, paths, labels }] of Object.entries(record.splits)) {
    const names = kind === 'class' ? classNames : paths;
    for (const [i, name] of names.entries()) {
      const place = kind === 'class' ? split : `${split}/${classNames[labels[i] as number]}`;
      const before = places.get(name);
      places.set(name, before === undefined ? place : `${before}; ${place}`);
    }
  }
  return places;
}

/** What came, went and moved of files or classes, in words. */
function changes(before: DatasetRecord, now: DatasetRecord, kind: 'file' | 'class'): string[] {
  const [then, after] = [placesOf(before, kind), placesOf(now, kind)];
  const came = [...after.keys()].filter((name) => !then.has(name));
  const went = [...then.keys()].filter((name) => !after.has(name));
  const moved = [...then].flatMap(([name, place]) => {
    const to = after.get(name);
    return to === undefined || to === place ? [] : [`${name} from ${place} to ${to}`];
  });
  const say = (names: readonly string[], what: string) => {
    if (names.length === 0) return [];
    const many = kind === 'file' ? counted(names.length, 'image') : counted(names.length, 'class', 'classes');
    return [`${many} ${what} (${listed(names)})`];
  };
  return [...say(came, 'came'), ...say(went, 'went'), ...say(moved, 'moved')];
}

/** What differs between two data sets, in a line; null where they are the same. */
export function datasetDifferences(before: DatasetRecord, now: DatasetRecord): string | null {
  if (before.sha256 === now.sha256) return null;
  const differences = [...changes(before, now, 'class'), ...changes(before, now, 'file')];
  if (differences.length > 0) return differences.join('; ');
  const ofPairs = Object.values(now.splits).some(({ pairs }) => pairs);
  return ofPairs ? 'the same images, and other pairs of them' : 'the same images in another order';
}
