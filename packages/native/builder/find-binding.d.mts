export interface Pair {
  /** Where it comes from: what LIBTORCH names, what was built here, or the package of prebuilt binaries. */
  origin: 'LIBTORCH' | 'built here' | 'prebuilt';
  /** The library it was built against, for people. */
  what: string;
  /** The binding; null where that library has none yet. */
  file: string | null;
  /** Why it cannot be taken; null where it can. */
  wrong: string | null;
}

export interface FoundLibtorch {
  origin: string;
  /** The folder that LIBTORCH can name. */
  root: string;
  version: string;
  libDir: string;
  cuda: boolean;
}

/** What was looked for and is not there. */
export interface Absent {
  origin: string;
  why: string;
}

type Kind = 'torch' | 'image';
export function findPairs(kind: Kind, folder: string): Pair[];
export function findAbsent(kind: Kind, folder: string): Absent[];
export function findLibtorchs(): FoundLibtorch[];
export function builtFor(kind: Kind, folder: string, library: FoundLibtorch): string | undefined;
export function findBinding(kind: Kind, folder: string): string;
export function loadBinding(kind: Kind, folder: string): unknown;
