// A package as it is published, laid out in a folder of its own. The sources' package.json says what is the package's; what is
// everybody's (the repository, the oldest Node) stands once, in the checkout's, and the platforms' packages are named when they
// are packed: in a checkout they have no binaries, and npm refuses a workspace that is for another system.
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join, relative } from 'node:path';

const EVERYBODYS = ['engines', 'homepage', 'repository', 'bugs', 'publishConfig'];
const NOT_PUBLISHED = ['scripts', 'devDependencies', 'allowScripts'];

/** The packages that load libtorch or libjpeg, and get them from a platform's. */
const BINDINGS = ['@conquer-dml/torch', '@conquer-dml/image'];

/** What no package holds, so that it need not be copied. */
const SKIPPED = new Set(['node_modules', 'src', 'test', 'page', 'codegen', 'build']);

export const readJson = (path) => JSON.parse(readFileSync(path, 'utf8'));

/** @returns {{ folder: string, manifest: any }[]} the packages in packages/ that are published */
export function publishedPackages(root) {
  return readdirSync(join(root, 'packages'))
    .map((name) => join(root, 'packages', name))
    .filter((folder) => existsSync(join(folder, 'package.json')))
    .map((folder) => ({ folder, manifest: readJson(join(folder, 'package.json')) }))
    .filter(({ manifest }) => !manifest.private);
}

/**
 * @param {string} directory of the package, in the repository
 * @param {{ name: string, version: string }[]} platforms packages that are published with it
 */
export function publishedManifest(manifest, root, directory, platforms) {
  const own = Object.fromEntries(Object.entries(manifest).filter(([key]) => !NOT_PUBLISHED.includes(key)));
  const shared = Object.fromEntries(
    EVERYBODYS.filter((key) => root[key] !== undefined).map((key) => [key, own[key] ?? root[key]]),
  );
  return {
    ...own,
    ...shared,
    repository: { ...root.repository, directory },
    ...(BINDINGS.includes(manifest.name) &&
      platforms.length > 0 && {
        optionalDependencies: Object.fromEntries(platforms.map(({ name, version }) => [name, version])),
      }),
  };
}

/** Writes what of a package is not its own: package.json as it is published, and the licence, where it has none of its own. */
export function finishStage(root, folder, manifest, staged, platforms) {
  if (!existsSync(join(folder, 'LICENSE'))) cpSync(join(root, 'LICENSE'), join(staged, 'LICENSE'));
  const everybodys = readJson(join(root, 'package.json'));
  const published = publishedManifest(manifest, everybodys, relative(root, folder), platforms);
  writeFileSync(join(staged, 'package.json'), `${JSON.stringify(published, null, 2)}\n`);
}

/** @returns {string} the folder of the package, ready for npm pack */
export function stage(root, { folder, manifest }, into, platforms) {
  const staged = join(into, basename(folder));
  rmSync(staged, { recursive: true, force: true });
  mkdirSync(staged, { recursive: true });
  for (const name of readdirSync(folder).filter((entry) => !SKIPPED.has(entry))) {
    // dist/page is published, beside which page holds its sources.
    cpSync(join(folder, name), join(staged, name), { recursive: true });
  }
  finishStage(root, folder, manifest, staged, platforms);
  return staged;
}
