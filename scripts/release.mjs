// npm run release: packs everything and looks whether it may be published. docs/publishing.md says the rest.
//   npm run release                       checks, and publishes nothing
//   npm run release -- --version 0.2.0    writes this version into all packages
//   npm run release -- --publish          checks, then publishes
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pack } from './pack.mjs';
import { checkTarballs } from './packing/check-tarballs.mjs';
import { platformFolder } from './packing/platform.mjs';
import { readJson } from './packing/stage.mjs';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..');

/** All package.json of the checkout that have a version. */
function manifests() {
  const packages = join(ROOT, 'packages');
  const inside = [packages, join(packages, 'platform')].flatMap((folder) =>
    readdirSync(folder).map((name) => join(folder, name)),
  );
  return [ROOT, ...inside].map((folder) => join(folder, 'package.json')).filter((file) => existsSync(file));
}

/** Writes a version into all packages, and into what they ask of each other. */
function setVersion(version) {
  if (!/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))
    throw new Error(`--version ${version}: expected one such as 0.2.0`);
  const before = readJson(join(ROOT, 'package.json')).version;
  for (const file of manifests()) {
    const text = readFileSync(file, 'utf8')
      .replace(`"version": "${before}"`, `"version": "${version}"`)
      .replaceAll(
        new RegExp(`("(?:@conquer-dml/[\\w-]+|conquer-dml)": "\\^?)${before.replaceAll('.', '\\.')}"`, 'g'),
        `$1${version}"`,
      );
    writeFileSync(file, text);
  }
  execFileSync('npm', ['install', '--package-lock-only', '--ignore-scripts'], {
    cwd: ROOT,
    stdio: 'inherit',
  });
  console.log(`version ${before} → ${version}: look at the changes, then commit them`);
}

/** What is wrong with the checkout that is to be released, whatever its packages are like. */
function checkoutProblems() {
  const { repository } = readJson(join(ROOT, 'package.json'));
  const problems = [];
  const server = process.env.GITHUB_REPOSITORY;
  // npm refuses a provenance statement that speaks of another repository than package.json does.
  if (server && !repository.url.endsWith(`/${server}.git`))
    problems.push(`package.json: repository is ${repository.url}, but this is ${server}`);
  if (platformFolder(ROOT) === undefined)
    problems.push(`no package is made for ${process.platform}-${process.arch}: release on linux-x64`);
  const changed = execFileSync('git', ['status', '--porcelain'], { cwd: ROOT, encoding: 'utf8' }).trim();
  if (changed) problems.push(`the checkout has changes that are not committed:\n${changed}`);
  return problems;
}

/** Publishes the tarballs, each after those that it depends on; what is there already, from an earlier try, is left out. */
function publish(packages) {
  for (const { tarball, manifest } of packages) {
    const name = `${manifest.name}@${manifest.version}`;
    if (spawnSync('npm', ['view', name, 'version'], { encoding: 'utf8' }).stdout.trim() !== '') {
      console.log(`${name}: published already`);
      continue;
    }
    const provenance = process.env.GITHUB_ACTIONS ? ['--provenance'] : [];
    execFileSync('npm', ['publish', tarball, '--access', 'public', ...provenance], { stdio: 'inherit' });
  }
}

const asked = process.argv[2];
if (asked === '--version') setVersion(process.argv[3] ?? '');
else {
  const tarballs = await pack();
  const { problems: found, packages } = await checkTarballs(tarballs, readJson(join(ROOT, 'package.json')));
  const problems = [...checkoutProblems(), ...found];
  for (const problem of problems) console.error(problem);
  if (problems.length > 0) process.exitCode = 1;
  else {
    console.log(
      packages
        .map(({ manifest, files }) => `${manifest.name}@${manifest.version}: ${files.length} files`)
        .join('\n'),
    );
    if (asked === '--publish') publish(packages);
    else console.log('nothing is wrong; nothing is published (--publish does)');
  }
}
