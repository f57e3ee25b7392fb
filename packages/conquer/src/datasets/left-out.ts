import { counted } from '@conquer-dml/run';

/** What was not read of a folder, counted by kind, with an example of each. */
export class LeftOut {
  readonly #files = new Map<string, Kind>();
  readonly #folders = new Map<string, Kind>();

  /** @param kind as it is shown after a number: `.heic`, `broken` */
  addFile(kind: string, path: string): void {
    add(this.#files, kind, path);
  }

  /** @param kind as above: `unreadable` */
  addFolder(kind: string, path: string): void {
    add(this.#folders, kind, path);
  }

  /** Files of this kind. */
  count(kind: string): number {
    return this.#files.get(kind)?.count ?? 0;
  }

  get files(): number {
    return total(this.#files);
  }

  get folders(): number {
    return total(this.#folders);
  }

  /**
   * In one line: `37 files left out: 31 .heic (…), 4 loose (4.jpg), 2 broken (a/1.jpg)`, with what to do where
   * something can be done; '' where nothing was left out.
   */
  toString(): string {
    return [describe('file', this.#files), describe('folder', this.#folders)]
      .filter((text) => text !== '')
      .join('; ')
      .replaceAll(/\p{Cc}+\s*/gu, ' ');
  }
}

interface Kind {
  count: number;
  first: string;
}

/** What can be done about some kinds. */
const advice: Record<string, string> = {
  '.heic': 'convert them, for example with heif-convert',
  '.heif': 'convert them, for example with heif-convert',
  'without an extension though an image': 'name them .jpg, .png, …',
  'with a name that is not UTF-8': 'rename them, for example with convmv',
};

function add(kinds: Map<string, Kind>, kind: string, path: string): void {
  const known = kinds.get(kind);
  if (known) known.count++;
  else kinds.set(kind, { count: 1, first: path });
}

function total(kinds: ReadonlyMap<string, Kind>): number {
  return [...kinds.values()].reduce((sum, { count }) => sum + count, 0);
}

function describe(what: string, kinds: ReadonlyMap<string, Kind>): string {
  if (kinds.size === 0) return '';
  const each = [...kinds]
    .sort(([, a], [, b]) => b.count - a.count)
    .map(([kind, { count, first }]) => {
      const example = count === 1 ? first : `the first is ${first}`;
      return `${count} ${kind} (${[example, advice[kind]].filter((text) => text !== undefined).join('; ')})`;
    });
  return `${counted(total(kinds), what)} left out: ${each.join(', ')}`;
}
