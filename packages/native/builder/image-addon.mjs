// packages/image/native against libjpeg-turbo: conquer_image.node.
import { join } from 'node:path';
import { manifest } from './build-folders.mjs';
import { compileFlags, linkFlags } from './compile.mjs';

/**
 * @param {string} folder of packages/image
 * @param {import('./find-libjpeg.mjs').Libjpeg} libjpeg
 * @returns {import('./compile.mjs').Addon}
 */
export function imageAddon(folder, libjpeg) {
  const { version, libDir, soname, buildId, includeDirs } = libjpeg;
  const name = 'conquer_image';
  return {
    name,
    sources: join(folder, 'native'),
    from: `libjpeg-turbo ${version} in ${libDir}`,
    marker: {
      addon: name,
      conquer: manifest(folder).version,
      library: 'libjpeg-turbo',
      version,
      buildId,
      soname,
      cuda: false,
      libDir,
    },
    flags: compileFlags(name, includeDirs, ['-std=c++17', '-O3']),
    link: [...linkFlags(libDir, ['-ljpeg', '-pthread']), `-Wl,-rpath,${libDir}`],
    more: [],
  };
}
