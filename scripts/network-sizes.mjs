// How large the published networks are, counted of the networks themselves, so that a list of them builds none:
// node scripts/network-sizes.mjs --write, after npm run build. A slow test holds the table to what it counts.
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..');
export const FILE = 'packages/conquer/src/models/weights/network-sizes.ts';

const HEAD = `/**
 * Dimensions of the feature, and numbers that are trained, of the published networks: by name, or by timm's architecture where
 * all its weights have them. Counted of the networks: node scripts/network-sizes.mjs --write.
 */
`;

/** The file, of names and what was counted of each. */
export function tableOf(counted) {
  const byArchitecture = new Map();
  for (const each of counted) {
    const architecture = each[0].includes('/') ? each[0] : each[0].split('.')[0];
    byArchitecture.set(architecture, [...(byArchitecture.get(architecture) ?? []), each]);
  }
  const rows = [...byArchitecture].flatMap(([architecture, all]) => {
    const alike = new Set(all.map(([, size]) => String(size))).size === 1;
    return alike ? [[architecture, all[0][1]]] : all;
  });
  const digits = (number) =>
    number < 10_000 ? `${number}` : String(number).replaceAll(/\B(?=(\d{3})+$)/g, '_');
  const key = (name) => (/^[a-z]\w*$/.test(name) ? name : `'${name}'`);
  const lines = rows.map(([name, [dim, count]]) => `  ${key(name)}: [${digits(dim)}, ${digits(count)}],\n`);
  return `${HEAD}export const networkSizes: Readonly<Record<string, readonly [dim: number, parameters: number]>> = {\n${lines.join('')}};\n`;
}

/** [name, [dimensions, numbers]] of each published network, built without numbers. */
export function counted({ backbones, createBackbone }) {
  const known = new Map();
  return backbones.flatMap(({ name: family, published = [] }) =>
    published.map(({ name, shape }) => {
      const key = JSON.stringify([family, shape]);
      if (!known.has(key)) {
        const network = createBackbone(name, { device: 'meta' });
        const numbers = network.parameters().reduce((sum, each) => sum + each.numel(), 0);
        known.set(key, [network.featureSize, numbers]);
        network.dispose();
      }
      return [name, known.get(key)];
    }),
  );
}

export const written = () => readFileSync(join(ROOT, FILE), 'utf8');

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const load = (path) => import(join(ROOT, 'packages/conquer/dist', path));
  const { backbones } = await load('models/backbones/backbones.js');
  const { createBackbone } = await load('models/create-model.js');
  const table = tableOf(counted({ backbones, createBackbone }));
  if (process.argv.includes('--write')) {
    writeFileSync(join(ROOT, FILE), table);
    spawnSync('npx', ['biome', 'format', '--write', FILE], { cwd: ROOT, stdio: 'inherit' });
  } else process.stdout.write(table);
}
