// What a Linux library or addon asks for of the system it is loaded on, as its dynamic section says.
import { execFileSync } from 'node:child_process';

/**
 * @typedef {object} Asks
 * @property {string[]} needed sonames
 * @property {string[]} runpath where they are looked for before the system's folders
 * @property {Record<string, string>} versions the highest version of each family of symbols, such as { GLIBC: '2.28' }
 */

/** Whether a version such as "2.9" is older than "2.28". */
export const isOlder = (a, b) => a.localeCompare(b, 'en', { numeric: true }) < 0;

/** @returns {Asks} @throws Error where there is no readelf (binutils, which g++ brings) */
export function asksFor(file) {
  const readelf = (flag) =>
    execFileSync('readelf', ['--wide', flag, file], {
      encoding: 'utf8',
      env: { ...process.env, LC_ALL: 'C' },
      maxBuffer: 1 << 28,
    });
  const dynamic = readelf('--dynamic');
  const values = (tag) =>
    [...dynamic.matchAll(new RegExp(`\\(${tag}\\)\\s+.*\\[(.*)\\]`, 'g'))].map(([, value]) => value);
  const versions = {};
  // "Name: GLIBC_2.28  Flags: none  Version: 5", of what is asked for; "Name: GOMP_1.0" of what is offered is "Index: 0x2".
  for (const [, family, version] of readelf('--version-info').matchAll(
    /Name: ([A-Z]+)_([\d.]+)\s+Flags: \S+\s+Version:/g,
  ))
    if (versions[family] === undefined || isOlder(versions[family], version)) versions[family] = version;
  return {
    needed: values('NEEDED'),
    runpath: values('R(?:UN)?PATH').flatMap((paths) => paths.split(':')),
    versions,
  };
}
