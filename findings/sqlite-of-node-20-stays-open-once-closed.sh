#!/bin/bash
# @photostructure/sqlite 1.2.1 (npm; the newest for Node 20, node:sqlite's interface) with sqlite-vec 0.1.9: a file of vectors that was
# queried by a prepared statement stays open after close(), until the statement is collected as garbage; there is no finalize(). Till then no
# other process can take it out of WAL mode ("database is locked"), which one has to that gives it to readers of a read-only folder; without a
# statement close() closes. node:sqlite itself, and the package from 2.x on, which asks for Node 22, finalise statements on close().
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y > /dev/null
npm install --silent @photostructure/sqlite@1.2.1 sqlite-vec@0.1.9 > /dev/null
cat > look.cjs <<'JS'
const { DatabaseSync } = require('@photostructure/sqlite');
const { getLoadablePath } = require('sqlite-vec');
const { spawnSync } = require('node:child_process');
const { readdirSync, readFileSync, readlinkSync } = require('node:fs');
const descriptors = () =>
  readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).includes('vectors.db');
    } catch {
      return false;
    }
  }).length;
function used(query) {
  const db = new DatabaseSync('vectors.db', { allowExtension: true });
  db.enableLoadExtension(true);
  db.loadExtension(getLoadablePath());
  db.exec('pragma journal_mode = wal; create virtual table if not exists rows using vec0 (embedding float[2])');
  db.exec("insert into rows (embedding) values ('[1, 0]')");
  if (query) db.prepare('select count(*) from rows').get();
  db.close();
  return descriptors();
}
/** What another process hears that takes the file out of WAL mode. */
const other = () => {
  const code = `new (require('@photostructure/sqlite').DatabaseSync)('vectors.db').exec('pragma journal_mode = delete')`;
  const { stderr } = spawnSync(process.execPath, ['-e', code], { encoding: 'utf8' });
  return /Error: (.*)/.exec(stderr)?.[1] ?? 'nothing';
};
const [plain, before] = [used(false), other()];
const [queried, after] = [used(true), other()];
const { version } = JSON.parse(readFileSync('node_modules/@photostructure/sqlite/package.json'));
console.log(`@photostructure/sqlite ${version}: after close() ${plain} descriptors are open, after a query and close() ${queried}; another process hears: ${before}, ${after}`);
process.exit(plain === 0 && queried > 0 && before === 'nothing' && after === 'database is locked' ? 0 : 1);
JS
node look.cjs
