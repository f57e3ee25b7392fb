import type { Tensor } from '@conquer-dml/torch';

/** One of a network's tensors as a file holds it: by other names, and perhaps in pieces or as a piece. */
export interface StoredTensor {
  /** The file's names of what it is made of. */
  readonly names: readonly string[];
  /** Made of those, in that order; the one of them, as it is, where it is left out. Belongs to the caller's scope. */
  readonly make?: ((stored: readonly Tensor[]) => Tensor) | undefined;
  /** What `make` makes one of, back in as many pieces as there are names; may share memory with it. Left out: it is not known. */
  readonly split?: ((own: Tensor, pieces: number) => Tensor[]) | undefined;
}

/** Which of a file's tensors are those of a network whose name fits `own`; `$1` is what stood in the first brackets. */
export interface NamingRule extends StoredTensor {
  readonly own: RegExp;
}

/** How another program's files of weights hold a family's networks. */
export interface Naming {
  /** Whose it is. */
  readonly of: string;
  /** The first rule whose pattern fits a name holds. */
  readonly rules: readonly NamingRule[];
  /** The file's names that are no part of the network's features: they are left out. */
  readonly ignored?: RegExp;
}

/** @returns null for one that files of this naming do not hold */
export function storedAs({ rules }: Naming, ownName: string): StoredTensor | null {
  for (const { own, names, make, split } of rules) {
    if (own.test(ownName)) return { names: names.map((name) => ownName.replace(own, name)), make, split };
  }
  return null;
}

/**
 * A network's tensors as files of a naming hold them, for a program that reads these.
 *
 * @returns pieces share memory with what they are of; they belong to the caller's scope
 * @throws Error for a tensor that such files do not hold, or hold otherwise than can be undone
 */
export function tensorsStoredAs(naming: Naming, own: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
  const stored = new Map<string, Tensor>();
  for (const [ownName, tensor] of own) {
    const source = storedAs(naming, ownName);
    if (source === null || (source.make && !source.split))
      throw new Error(`${naming.of} names have no place for ${ownName}`);
    const pieces = source.split?.(tensor, source.names.length) ?? [tensor];
    for (const [i, name] of source.names.entries()) stored.set(name, pieces[i]!);
  }
  return stored;
}

/** A file's tensors that a naming recognises. */
export interface NamedStore {
  readonly naming: Naming;
  /** What stands before each name in the file; '' for nothing. */
  readonly prefix: string;
  /** By the network's names, as the file has them: with the prefix. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

/**
 * The naming, and what stands before its names, by which a file holds the most of a network's tensors.
 *
 * @param own the network's names
 * @returns null where none of them has any
 */
export function recognise(
  namings: readonly Naming[],
  own: Iterable<string>,
  stored: readonly string[],
): NamedStore | null {
  const held = new Set(stored);
  let best: NamedStore | null = null;
  for (const naming of namings) {
    const wanted = Array.from(own, (name) => [name, storedAs(naming, name)] as const);
    const prefix = commonPrefix(new Set(wanted.flatMap(([, source]) => source?.names ?? [])), stored);
    const tensors = new Map<string, StoredTensor>();
    for (const [name, source] of wanted) {
      // What lies beside the network, such as a projection, has its name as it is.
      const names = source?.names.map((each) => (held.has(prefix + each) ? prefix + each : each));
      if (names?.every((each) => held.has(each))) tensors.set(name, { names, make: source?.make });
    }
    if (tensors.size > (best?.tensors.size ?? 0)) best = { naming, prefix, tensors };
  }
  return best;
}

/** What stands before most of the wanted names; the shortest of several. */
function commonPrefix(wanted: ReadonlySet<string>, stored: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const name of stored) {
    for (let dot = -1; ; ) {
      if (wanted.has(name.slice(dot + 1))) {
        const prefix = name.slice(0, dot + 1);
        counts.set(prefix, (counts.get(prefix) ?? 0) + 1);
      }
      dot = name.indexOf('.', dot + 1);
      if (dot < 0) break;
    }
  }
  const most = Math.max(0, ...counts.values());
  const best = [...counts].filter(([, count]) => count === most).map(([prefix]) => prefix);
  return best.sort((a, b) => a.length - b.length)[0] ?? '';
}
