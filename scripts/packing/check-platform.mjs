// What must be so of a platform's package: what its files ask for of a system, and that nothing is in it that is not named.
import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { asksFor, isOlder } from './elf.mjs';

/** The highest version of each family of symbols that one of the files asks for, such as { GLIBC: '2.28' }. */
export function highestVersions(files) {
  const highest = {};
  for (const file of files)
    for (const [family, version] of Object.entries(asksFor(file).versions))
      if (highest[family] === undefined || isOlder(highest[family], version)) highest[family] = version;
  return highest;
}

/**
 * The most that may be asked for: what PyTorch's own library asks for, so that the bindings narrow nothing. README names the
 * systems that have it.
 */
export const NEWEST = { GLIBC: '2.28', GLIBCXX: '3.4.22', CXXABI: '1.3.11' };

const NEVER = /^lib(python[\d.]*|stdc\+\+|gcc_s|c|m|pthread|dl|rt|cuda\w*|nv\w*)(-[\d.]+)?\.so/;

/** @param {import('./check-tarballs.mjs').Unpacked} unpacked */
export function platformProblems({ folder, files }) {
  const problems = [];
  const binaries = files.filter((file) => /\.node$|^lib\//.test(file));
  const present = new Set(binaries.map((file) => basename(file)));
  for (const file of binaries.filter((name) => NEVER.test(basename(name)))) problems.push(`holds ${file}`);
  const versions = highestVersions(binaries.map((file) => join(folder, file)));
  for (const [family, newest] of Object.entries(NEWEST))
    if (versions[family] !== undefined && isOlder(newest, versions[family]))
      problems.push(`asks for ${family}_${versions[family]}, expected ${newest} at most`);
  for (const name of ['libtorch_cpu.so', 'libc10.so'])
    if (!present.has(name)) problems.push(`has no lib/${name}`);
  const notice = readFileSync(join(folder, 'NOTICE'), 'utf8');
  for (const file of binaries) if (!notice.includes(file)) problems.push(`NOTICE does not name ${file}`);
  for (const [, license] of notice.matchAll(/(licenses\/[\w./-]*\w)/g))
    if (!files.some((file) => file === license || file.startsWith(`${license}/`)))
      problems.push(`NOTICE names ${license}, which is not in it`);
  return problems;
}
