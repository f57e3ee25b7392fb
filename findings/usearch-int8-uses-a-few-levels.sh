#!/bin/bash
# usearch 2.25.3 (npm), quantization 'i8': one expects that a row's numbers are spread over −127…127, as the usual int8 quantisation by the
# largest one does. It divides a row by its length and takes 127 times that: of a row of 384 numbers they are about ±6, so that 8 bits are
# hardly 4. Cosines are off by some 0.005 in any dimension, 10 times as far as by the largest number with 384, 22 times with 1,536, and the
# gap grows with the dimensions. A search by int8 wants its candidates compared again by float32.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y > /dev/null
npm install --ignore-scripts --no-audit --no-fund --silent usearch@2.25.3
cat > try.mjs <<'JS'
import { Index } from 'usearch';

const N = 400;
const dot = (a, b) => a.reduce((sum, x, i) => sum + x * b[i], 0);
const rootOfMean = (errors) => Math.sqrt(errors.reduce((sum, e) => sum + e * e, 0) / errors.length);
let state = 1;
const uniform = () => (state = (state * 48271) % 2147483647) / 2147483647 - 0.5;

const ratios = [32, 384, 1536].map((dimensions) => {
  const rows = Array.from({ length: N }, () => {
    const row = Float32Array.from({ length: dimensions }, () => uniform() + uniform() + uniform());
    const length = Math.sqrt(dot(row, row));
    return row.map((x) => x / length);
  });
  const index = new Index({ dimensions, metric: 'cos', quantization: 'i8', connectivity: 16, expansion_add: 64, expansion_search: N });
  for (const [i, row] of rows.entries()) index.add(BigInt(i), row);
  const { keys, distances } = index.search(rows[0], N, 1);
  const exact = (i) => 1 - dot(rows[0], rows[i]);
  const theirs = rootOfMean(Array.from(keys, (key, at) => distances[at] - exact(Number(key))));

  const whole = rows.map((row) => {
    const most = Math.max(...row.map(Math.abs));
    return Array.from(row, (x) => Math.round((127 * x) / most));
  });
  const cosine = (a, b) => dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
  const usual = rootOfMean(whole.map((row, i) => 1 - cosine(whole[0], row) - exact(i)));
  console.log(`${dimensions} dimensions: ${theirs.toFixed(5)}, by the largest number ${usual.toFixed(5)}: ${(theirs / usual).toFixed(1)} times`);
  return theirs / usual;
});
if (!(ratios[1] > 6 && ratios[2] > ratios[1])) {
  console.log('it is no longer so');
  process.exit(1);
}
JS
node try.mjs
# Seen: 32 dimensions 3.6 times, 384 dimensions 9.9 times, 1536 dimensions 22.3 times.
