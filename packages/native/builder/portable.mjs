// An addon for machines other than this one: the libraries lie in "lib" beside it, and it asks for no newer glibc and
// libstdc++ than it has to (portable.cc). For the packages of prebuilt binaries.
import { MACOS } from './compile.mjs';

/** @param {import('./compile.mjs').Addon} addon @returns {import('./compile.mjs').Addon} */
export function portable(addon) {
  const here = MACOS ? '@loader_path/lib' : '$ORIGIN/lib';
  return {
    ...addon,
    from: `${addon.from}, to go with it`,
    marker: { ...addon.marker, libDir: null },
    link: [
      ...addon.link.filter((flag) => !flag.startsWith('-Wl,-rpath,')),
      `-Wl,-rpath,${here}`,
      ...(MACOS ? [] : ['-Wl,--enable-new-dtags', '-Wl,-s']),
    ],
    more: MACOS ? [] : ['portable.cc'],
  };
}
