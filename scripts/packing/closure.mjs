// The libraries that addons need and no system brings, copied beside them.
import { chmodSync, copyFileSync, existsSync, mkdirSync, realpathSync } from 'node:fs';
import { basename, join } from 'node:path';
import { asksFor } from './elf.mjs';

/** What every Linux with glibc and the C++ library has; a copy of its own beside the system's would be two of them. */
const SYSTEM = /^(ld-linux[-\w]*|lib(c|m|mvec|dl|rt|pthread|util|resolv|stdc\+\+|gcc_s))\.so\.\d+$/;

/**
 * Copies each library that `files` ask for, and those that these ask for.
 * @param {string[]} files addons
 * @param {string[]} folders where the libraries are
 * @param {string} into
 * @returns {string[]} the copies
 * @throws Error where one is in none of the folders
 */
export function copyClosure(files, folders, into) {
  mkdirSync(into, { recursive: true });
  const copies = new Map();
  const queue = [...files];
  for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
    for (const name of asksFor(file).needed) {
      if (SYSTEM.test(name) || copies.has(name)) continue;
      const found = folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
      if (found === undefined)
        throw new Error(`${basename(file)} needs ${name}, which is not in ${folders.join(', ')}`);
      const copy = join(into, name);
      copyFileSync(realpathSync(found), copy);
      chmodSync(copy, 0o644);
      copies.set(name, copy);
      queue.push(copy);
    }
  }
  return [...copies.values()];
}
