// A cell of a peer, by its own code in Python. `node board/cells/peer.mjs FOLDER`.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { KEPT } from '../../bench/peer-settings.mjs';
import { splitOf } from '../data.mjs';
import { machine, othersHeld, PYTHON, ROOT, readJson, writeJson } from '../places.mjs';
import { startFile } from '../start-file.mjs';

const [folder] = process.argv.slice(2);
const file = join(folder, 'cell.json');
const cell = readJson(file);
const before = machine();
const { csv, search } = await splitOf(cell.set, cell.seed);
const settings = {
  ...cell.settings,
  ...(cell.settings.network === 'resnet18' && { startFile: startFile(cell.seed) }),
};
writeJson(file, { ...cell, settings, csv: cell.search ? search : csv });
const child = spawn(PYTHON, [join(ROOT, 'board/peers/pml.py'), folder], {
  stdio: ['ignore', 'ignore', 'pipe'],
  env: { ...process.env, ...KEPT },
});
process.on('SIGTERM', () => child.kill('SIGTERM'));
let said = '';
child.stderr.setEncoding('utf8').on('data', (text) => {
  said = (said + text).slice(-4000);
});
const code = await new Promise((done, failed) => {
  child.on('error', failed);
  child.on('close', done);
});
if (code !== 0)
  throw new Error(said.trim().split('\n').at(-1) || `the peer's process ended with ${code ?? 'a signal'}`);
const result = readJson(join(folder, 'result.json'));
const others = othersHeld(before, result.seconds, result.processorSeconds);
writeJson(join(folder, 'result.json'), { ...result, machine: before, others });
