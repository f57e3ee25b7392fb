#!/bin/bash
# @lancedb/lancedb 0.37.1 (npm), apache-arrow 18.1.0: a query or vector search that matches no row gives an Arrow table without columns:
# its schema is empty, and getChild('label') is null, where one match gives all of them. A stream of the same query yields no batch at
# all. So code that reads a column of the answer fails at the first filter that finds nothing, and what is known of its types is not there.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y > /dev/null
npm install --silent --ignore-scripts @lancedb/lancedb@0.37.1 apache-arrow@18.1.0 > /dev/null
cat > look.mjs <<'JS'
import { readFileSync } from 'node:fs';
process.env.LANCEDB_LOG = 'error';
const lancedb = await import('@lancedb/lancedb');
const db = await lancedb.connect('./db');
const rows = Array.from({ length: 20 }, (_, id) => ({
  id,
  vector: [Math.cos(id), Math.sin(id)],
  label: id % 2 ? 'hat' : 'shoe',
}));
const table = await db.createTable('things', rows);
const columns = (answer) => answer.schema.fields.length;
const of = (label) => table.query().where(`label = '${label}'`);
const some = await of('hat').toArrow();
const none = await of('boot').toArrow();
const near = await table.vectorSearch([1, 0]).where("label = 'boot'").limit(3).toArrow();
let batches = 0;
for await (const _ of of('boot')) batches++;
const { version } = JSON.parse(readFileSync('node_modules/@lancedb/lancedb/package.json'));
console.log(`lancedb ${version}: ${some.numRows} matches have ${columns(some)} columns; ${none.numRows} matches ${columns(none)}, of a vector search ${columns(near)}; the column is ${none.getChild('label')}; ${batches} batches`);
const isSo = columns(some) === 3 && columns(none) === 0 && columns(near) === 0 && none.getChild('label') === null && batches === 0;
process.exit(isSo ? 0 : 1);
JS
node look.mjs
