#!/bin/bash
# usearch 2.25.3 (npm): the ten nearest are others when five hundred are asked for and the first ten are kept: k beyond expansion_search
# widens the search itself. recall@10 of random rows (4,000 × 64, float32, cosine, 16 neighbours): about 0.6 by asking for 10, above
# 0.99 by asking for 500, by the same graph. So a loaded graph is made to find more without opening it anew with another expansion_search.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y > /dev/null
npm install --silent --ignore-scripts usearch@2.25.3 > /dev/null
cat > look.cjs <<'JS'
const { Index } = require('usearch');
const [ROWS, DIM, QUERIES] = [4000, 64, 100];
let state = 1;
const random = () => (state = (state * 48271) % 2147483647) / 2147483647;
const normal = () => Math.sqrt(-2 * Math.log(random())) * Math.cos(2 * Math.PI * random());
const drawn = (count) => Array.from({ length: count }, () => {
  const row = Float32Array.from({ length: DIM }, normal);
  const length = Math.hypot(...row);
  return row.map((value) => value / length);
});
const [rows, queries] = [drawn(ROWS), drawn(QUERIES)];
const index = new Index({ dimensions: DIM, metric: 'cos', quantization: 'f32', connectivity: 16, expansion_add: 64, expansion_search: 16 });
rows.forEach((row, key) => index.add(BigInt(key), row, 1));
const dot = (a, b) => a.reduce((sum, value, at) => sum + value * b[at], 0);
const share = (asked) => {
  let same = 0;
  for (const query of queries) {
    const exact = rows.map((row, key) => [dot(row, query), key]).sort((a, b) => b[0] - a[0]).slice(0, 10);
    const found = new Set([...index.search(query, asked, 1).keys.slice(0, 10)].map(Number));
    same += exact.filter(([, key]) => found.has(key)).length;
  }
  return same / (10 * QUERIES);
};
const [ten, more] = [share(10), share(500)];
console.log(`usearch ${JSON.parse(require('node:fs').readFileSync('node_modules/usearch/package.json')).version}: recall@10 ${ten} by asking for 10, ${more} by asking for 500`);
process.exit(ten < 0.9 && more > 0.98 ? 0 : 1);
JS
node look.cjs
