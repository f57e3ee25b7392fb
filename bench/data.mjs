// Inputs that both sides of a benchmark read: raw little-endian files, made once. A file's name says its shape.
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder } from '../packages/conquer/dist/cache-folder.js';

/**
 * Embeddings as a trained network gives them: classes of a few images around centres which lie in groups
 * themselves, many directions shared, few strong. float32, rows of unit length where `unit` says so.
 */
const SETS = {
  // Stanford Online Products' test set.
  sop: { rows: 60_502, columns: 512, classes: 11_316, unit: true, seed: 1 },
  // In-Shop's queries and gallery: the same classes.
  'inshop-query': { rows: 14_218, columns: 512, classes: 3_985, unit: true, seed: 2, noiseSeed: 3 },
  'inshop-gallery': { rows: 12_612, columns: 512, classes: 3_985, unit: true, seed: 2, noiseSeed: 4 },
  // An index of photos.
  gallery: { rows: 100_000, columns: 384, classes: 12_000, unit: true, seed: 6 },
  // A division of a training set by a ResNet-50's features.
  features: { rows: 60_000, columns: 2_048, classes: 11_318, unit: false, seed: 5 },
};

/** The sets' names. */
export const dataNames = Object.keys(SETS);

/**
 * @returns {{ embeddings: string, labels: string }} paths of float32 (rows, columns) and int32 (rows) files
 */
export async function dataFiles(name) {
  const { rows, columns, ...how } = SETS[name];
  return synthesize(name, rows, columns, how);
}

/** The same for any size: `NAME-ROWSxCOLUMNS.f32` and `NAME-ROWS.i32`. */
export async function synthesize(name, rows, columns, { classes, unit, seed, noiseSeed = seed }) {
  const folder = join(cacheFolder(), 'bench');
  const embeddings = join(folder, `${name}-${rows}x${columns}.f32`);
  const labels = join(folder, `${name}-${rows}.i32`);
  if (existsSync(embeddings) && existsSync(labels)) return { embeddings, labels };
  mkdirSync(folder, { recursive: true });

  const { Generator, noGrad, randn, scope, tensor } = await import('@conquer-dml/torch');
  scope(() =>
    noGrad(() => {
      const shared = new Generator(seed);
      const own = new Generator(noiseSeed + 1000);
      const groups = 64;
      // Strengths fall from 1 like those of a covariance matrix of features.
      const strengths = tensor(Float32Array.from({ length: columns }, (_, i) => (1 + i / 16) ** -0.75));
      const groupCentres = randn([groups, columns], { generator: shared });
      const classCentres = randn([classes, columns], { generator: shared });
      const labelOf = Int32Array.from({ length: rows }, (_, row) => row % classes);
      const numbers = new Float32Array(rows * columns);
      const step = 4096;
      for (let start = 0; start < rows; start += step) {
        const some = labelOf.subarray(start, Math.min(rows, start + step));
        scope(() => {
          const which = tensor(some, { dtype: 'int64' });
          const group = tensor(
            Int32Array.from(some, (label) => label % groups),
            { dtype: 'int64' },
          );
          const rowsHere = groupCentres
            .indexSelect(0, group)
            .mul(0.7)
            .add(classCentres.indexSelect(0, which).mul(0.45))
            .add(randn([some.length, columns], { generator: own }).mul(0.8))
            .mul(strengths);
          const scaled = unit ? rowsHere.div(rowsHere.norm(2, 1, true)) : rowsHere.clamp({ min: 0 });
          numbers.set(scaled.toNumbers(), start * columns);
        });
      }
      write(embeddings, numbers);
      write(labels, labelOf);
    }),
  );
  return { embeddings, labels };
}

function write(path, numbers) {
  writeFileSync(`${path}.part`, numbers);
  renameSync(`${path}.part`, path);
}
