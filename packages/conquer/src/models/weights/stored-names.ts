import { UserError } from '@conquer-dml/run';
import { type KeyMap, namedBy } from './key-map.js';
import { type NamedStore, type Naming, recognise, type StoredTensor } from './naming.js';

/** How the names of a file of weights stand to a network's own. */
export interface StoredNames {
  /** What stands before each of the network's names in the file; '' for nothing. */
  prefix: string;
  /** What of the file each of the network's tensors is that it has, with the prefix. */
  byOwnName: Map<string, StoredTensor>;
  /** Whose naming the file has; null for the network's own names, or those of its key maps. */
  naming: string | null;
  /** The file's names that belong to a classifier, or, where there is a prefix, lie outside of it. */
  leftOut: string[];
  /** The file's names that nothing in the network has. */
  unexpected: string[];
  /** The network's names that the file lacks; files before PyTorch 0.4.1 do not count batches, and need not. */
  missing: string[];
}

/** Names under which others hold a network within a larger one. */
const WRAPPERS = /^((module|_orig_mod|model|net|network|backbone|encoder)\.)*$/;

/** What others call the last layer, which a network of features does not have. */
const CLASSIFIERS = ['fc.', 'head.', 'heads.', 'classifier.', 'last_linear.', 'logits.'];

/** The share of a network's names that a prefix must lead to which is not a usual one. */
const ENOUGH = 0.5;

/** What of a network is asked here; see Backbone. */
interface NamedNetwork {
  stateDict(): ReadonlyMap<string, unknown>;
  readonly classifierPrefixes: readonly string[];
  readonly keyMaps: readonly KeyMap[];
  readonly namings: readonly Naming[];
}

/**
 * Finds the network in a file of weights: with its names as they are, or all of them behind a prefix such as `module.`
 * (DataParallel), `_orig_mod.` (torch.compile) or `model.backbone.`.
 *
 * @param network its names, those that others have for them (`keyMaps`), and further beginnings of a classifier's names
 * @throws UserError where it is there twice, behind two prefixes of which neither is a usual one
 */
export function matchStoredNames(network: NamedNetwork, stored: readonly string[]): StoredNames {
  const own = new Set(network.stateDict().keys());
  const ownNameOf = (name: string) => namedBy(network.keyMaps, own, name)?.ownName ?? null;
  const theirs = recognise(network.namings, own, stored);
  const plain = new Set(stored.flatMap((name) => ownNamesWithin(name, ownNameOf)));
  if (theirs !== null && theirs.tensors.size > plain.size) {
    return ofNaming(theirs, own, stored, [...CLASSIFIERS, ...network.classifierPrefixes]);
  }
  const prefix = prefixOf(own, stored, ownNameOf);
  const classifiers = [...CLASSIFIERS, ...network.classifierPrefixes];
  const names: StoredNames = {
    ...{ prefix, naming: null, byOwnName: new Map() },
    ...{ leftOut: [], unexpected: [], missing: [] },
  };
  for (const name of stored) {
    const rest = name.startsWith(prefix) ? name.slice(prefix.length) : null;
    const ownName = rest === null ? null : ownNameOf(rest);
    if (ownName !== null) names.byOwnName.set(ownName, { names: [name] });
    else if (rest === null || classifiers.some((start) => rest.startsWith(start))) names.leftOut.push(name);
    else names.unexpected.push(name);
  }
  for (const name of own)
    if (!names.byOwnName.has(name) && !name.endsWith('num_batches_tracked')) names.missing.push(name);
  return names;
}

/** The network's names that a file's name has at its end. */
function ownNamesWithin(name: string, ownNameOf: (name: string) => string | null): string[] {
  const found: string[] = [];
  for (let dot = -1; ; ) {
    const own = ownNameOf(name.slice(dot + 1));
    if (own !== null) found.push(own);
    dot = name.indexOf('.', dot + 1);
    if (dot < 0) return found;
  }
}

function ofNaming(
  { naming, prefix, tensors }: NamedStore,
  own: ReadonlySet<string>,
  stored: readonly string[],
  classifiers: readonly string[],
): StoredNames {
  const used = new Set(Array.from(tensors.values(), ({ names }) => names).flat());
  const names: StoredNames = {
    ...{ prefix, naming: naming.of, byOwnName: new Map(tensors) },
    ...{ leftOut: [], unexpected: [], missing: [] },
  };
  for (const name of stored) {
    if (used.has(name)) continue;
    const rest = name.startsWith(prefix) ? name.slice(prefix.length) : null;
    const beside =
      rest === null ||
      (naming.ignored?.test(rest) ?? false) ||
      classifiers.some((start) => rest.startsWith(start));
    (beside ? names.leftOut : names.unexpected).push(name);
  }
  for (const name of own)
    if (!tensors.has(name) && !name.endsWith('num_batches_tracked')) names.missing.push(name);
  return names;
}

function prefixOf(
  own: ReadonlySet<string>,
  stored: readonly string[],
  ownNameOf: (name: string) => string | null,
): string {
  const counts = new Map<string, number>();
  for (const name of stored) {
    for (let dot = -1; ; ) {
      if (ownNameOf(name.slice(dot + 1)) !== null) {
        const prefix = name.slice(0, dot + 1);
        counts.set(prefix, (counts.get(prefix) ?? 0) + 1);
      }
      dot = name.indexOf('.', dot + 1);
      if (dot < 0) break;
    }
  }
  const candidates = [...counts].filter(
    ([prefix, count]) => WRAPPERS.test(prefix) || count >= ENOUGH * own.size,
  );
  const most = Math.max(0, ...candidates.map(([, count]) => count));
  const best = candidates.filter(([, count]) => count === most).map(([prefix]) => prefix);
  const usual = best.filter((prefix) => WRAPPERS.test(prefix)).sort((a, b) => a.length - b.length);
  const [first] = usual.length > 0 ? usual : best;
  if (usual.length === 0 && best.length > 1) {
    throw new UserError(
      `the weights hold the network ${best.length} times, behind the names ${best.slice(0, 3).join(', ')}: write the one that is meant into a file of its own`,
    );
  }
  return first ?? '';
}
