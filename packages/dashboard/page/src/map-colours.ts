import type { EmbeddingInfo, MapPoints } from '../../src/api.js';
import { categorical } from './colours.js';

/** What points can be coloured by: their class, the label of their nearest neighbour, their cluster, whether these two labels differ. */
export const COLOURS = ['class', 'nearest label', 'cluster', 'error'] as const;

export type ColourBy = (typeof COLOURS)[number];

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
  category: Int32Array | Uint8Array;
}

/** Pixels across, of so many points. */
const sizeOf = (points: number) => (points > 400_000 ? 2 : points > 20_000 ? 3 : points > 4000 ? 4.5 : 6);

/** What each point's colour says. Of errors, size says it as well: they are larger. */
export function colouring(map: MapPoints, info: EmbeddingInfo, by: ColourBy): Colouring {
  const size = sizeOf(map.x.length);
  if (by === 'error') {
    const kinds = [1, 0, -1];
    const category = Uint8Array.from(map.correct, (correct) => kinds.indexOf(correct));
    return {
      category,
      categories: counted(category, [
        { name: 'right: the nearest neighbour is of the same class', colour: '#2f9e78', size },
        { name: 'wrong: the nearest neighbour is of another class', colour: '#d6503f', size: 1.7 * size },
        { name: 'nothing to find: the only image of its class', colour: '#8a919c', size },
      ]),
    };
  }
  const values = by === 'class' ? map.labels : by === 'cluster' ? map.clusters : labelled(map.nearest);
  let most = 0;
  for (let i = 0; i < values.length; i++) most = Math.max(most, values[i] as number);
  const name = (i: number) => (by === 'cluster' ? `cluster ${i + 1}` : (info.classNames[i] ?? `class ${i}`));
  const kinds = Array.from({ length: most + 1 }, (_, i) => ({ name: name(i), colour: categorical(i), size }));
  if (by === 'nearest label' && map.nearest.includes(-1))
    kinds[most] = { name: 'none: there is no other image', colour: '#8a919c', size };
  return { category: values, categories: counted(values, kinds) };
}

/** Those without a neighbour are a category of their own, behind the labels. */
function labelled(nearest: Int32Array): Int32Array {
  if (!nearest.includes(-1)) return nearest;
  let most = -1;
  for (let i = 0; i < nearest.length; i++) most = Math.max(most, nearest[i] as number);
  return nearest.map((label) => (label === -1 ? most + 1 : label));
}

function counted(category: Int32Array | Uint8Array, kinds: Omit<Category, 'points'>[]): Category[] {
  const points = new Array<number>(kinds.length).fill(0);
  for (let i = 0; i < category.length; i++) {
    const kind = category[i] as number;
    points[kind] = (points[kind] ?? 0) + 1;
  }
  return kinds.map((kind, i) => ({ ...kind, points: points[i] ?? 0 }));
}
