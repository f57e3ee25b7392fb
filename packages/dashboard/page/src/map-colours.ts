import type { EmbeddingInfo, MapPoints } from '../../src/api.js';
import { categorical } from './colours.js';

export type ColourBy = 'class' | 'cluster' | 'correctness';

export interface Category {
  name: string;
  colour: string;
  size: number;
  /** How many points. */
  points: number;
}

export interface Colouring {
  categories: Category[];
  /** By point, into categories. */
  category: number[];
}

/** What each point's colour says. Of correctness, size says it as well: mistakes are larger. */
export function colouring(map: MapPoints, info: EmbeddingInfo, by: ColourBy): Colouring {
  const size = map.x.length > 20_000 ? 3 : map.x.length > 4000 ? 4.5 : 6;
  if (by === 'correctness') {
    const kinds = [1, 0, -1];
    const category = map.correct.map((correct) => kinds.indexOf(correct));
    return {
      category,
      categories: counted(category, [
        { name: 'right: the nearest neighbour is of the same class', colour: '#2f9e78', size },
        { name: 'wrong: the nearest neighbour is of another class', colour: '#d6503f', size: 1.7 * size },
        { name: 'nothing to find: the only image of its class', colour: '#8a919c', size },
      ]),
    };
  }
  const values = by === 'class' ? map.labels : map.clusters;
  const most = values.reduce((a, b) => Math.max(a, b), 0);
  const name = (i: number) => (by === 'class' ? (info.classNames[i] ?? `class ${i}`) : `cluster ${i + 1}`);
  const kinds = Array.from({ length: most + 1 }, (_, i) => ({ name: name(i), colour: categorical(i), size }));
  return { category: values, categories: counted(values, kinds) };
}

function counted(category: readonly number[], kinds: Omit<Category, 'points'>[]): Category[] {
  const points = new Array<number>(kinds.length).fill(0);
  for (const kind of category) points[kind] = (points[kind] ?? 0) + 1;
  return kinds.map((kind, i) => ({ ...kind, points: points[i] ?? 0 }));
}
