// Rows as a model that has learnt makes them: on the unit sphere around some 2,000 centres.
import { closeSync, existsSync, mkdirSync, openSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { Generator, randn, scope, tensor } from '@conquer-dml/torch';

const CENTRES = 2000;
/** Of the noise around a centre, whose length is 1: two rows of a centre have a cosine of about 1 / (1 + NOISE²) = 0.5. */
const NOISE = 1;
const SEED = 1;
/** Rows at a time. */
const ROWS = 16384;

/** `count` of them, in pieces. */
export function* clusteredRows(count, dim, seed) {
  const generator = new Generator(seed);
  const centres = scope(() => unit(randn([CENTRES, dim], { generator: new Generator(SEED) })));
  for (let start = 0; start < count; start += ROWS) {
    const some = Math.min(ROWS, count - start);
    yield scope(() => {
      const which = Int32Array.from({ length: some }, (_, i) => ((start + i) * 7919 + seed) % CENTRES);
      const noise = randn([some, dim], { generator }).mul(NOISE / Math.sqrt(dim));
      return unit(centres.indexSelect(0, tensor(which, { dtype: 'int64' })).add(noise));
    });
  }
  centres.dispose();
}

const unit = (rows) => rows.div(rows.norm(2, 1, true));

/** A file of nothing but rows of float32, made once. */
export function rowsFile(folder, count, dim, seed) {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `clustered-${count}-${dim}-${seed}.f32`);
  if (existsSync(path)) return path;
  const file = openSync(`${path}.tmp`, 'w');
  for (const rows of clusteredRows(count, dim, seed)) {
    const { buffer, byteOffset, byteLength } = rows.toTypedArray();
    const bytes = new Uint8Array(buffer, byteOffset, byteLength);
    for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done);
    rows.dispose();
  }
  closeSync(file);
  renameSync(`${path}.tmp`, path);
  return path;
}
