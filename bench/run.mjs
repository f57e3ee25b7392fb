// npm run bench: measures every row of rows.mjs in one run on one machine: the peer is tried in each of its settings, and the fastest
// of them and our side run by turns.
//   -- [--row] NAME…   some rows; docs/performance.md stays as it is unless --write is given too
//   -- --json FILE      rows of { name, oursSeconds, peerSeconds, ratio, spread, peerSetting, bar, met }
//   -- --list           the rows' names
import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { benchPython, bringBenchPeers } from '../scripts/pypi-peers.mjs';
import { commandLine, refuse } from './command-line.mjs';
import { AS_IT_COMES } from './peer-settings.mjs';
import { describeMachine, instructionsOf, resultsTable, writeReport } from './report.mjs';
import { rows } from './rows.mjs';
import { median, PYTHON, PYTHON_TODAY, ROOT, startOurs, startPeer } from './sides.mjs';

const say = (line) => console.log(line);

/** The peer in the setting that is the fastest in one run, after one that compiles and warms it up. */
async function bestPeer(side, args, settings, cold) {
  let best;
  for (const setting of settings) {
    try {
      const peer = await startPeer(side, [...args, ...setting.args], setting);
      if (settings.length === 1) return { peer, setting, tried: {} };
      if (!cold || setting.args.includes('--compile')) await peer.run();
      const { seconds } = await peer.run();
      say(`  peer ${setting.name}: ${seconds.toPrecision(3)} s`);
      const tried = { ...best?.tried, [setting.name]: Number(seconds.toPrecision(4)) };
      if (best && best.seconds <= seconds) {
        await peer.end();
        best.tried = tried;
      } else {
        await best?.peer.end();
        best = { peer, seconds, setting, tried };
      }
    } catch (error) {
      // One that this machine cannot run is not the best.
      say(`  peer ${setting.name} failed: ${error.message}`);
    }
  }
  if (!best) throw new Error('the peer runs in none of its settings');
  return best;
}

/** @returns {string | undefined} the first number of a and b that is further apart than allowed */
function difference(a, b, { within, oneSided }, path) {
  if (typeof a === 'number' && typeof b === 'number') {
    const allowed = within * Math.max(Math.abs(b), 1e-12);
    const gap = oneSided ? a - b : Math.abs(a - b);
    return gap <= allowed ? undefined : `${path}: ours ${a}, peer ${b}`;
  }
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) {
    return a === b ? undefined : `${path}: ours ${JSON.stringify(a)}, peer ${JSON.stringify(b)}`;
  }
  for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) {
    const found = difference(a[key], b[key], { within, oneSided }, `${path}.${key}`);
    if (found) return found;
  }
  return undefined;
}

/** What our last run gave that it must not: other numbers than the peer's, or more memory than allowed. */
function complaints({ agree = {}, most = {} }, ours, peer) {
  const found = [];
  for (const [key, rule] of Object.entries(agree)) {
    const text = difference(ours[key], peer?.[key], rule, key);
    if (text) found.push(text);
  }
  for (const [key, limit] of Object.entries(most)) {
    if (!(ours[key] <= limit)) found.push(`${key}: ${ours[key]}, at most ${limit}`);
  }
  return found;
}

/** The machine's own time for what the row must do at least. @param extras what our side answered */
function limitOf({ limit }, { flops, bytes }, extras) {
  if (!limit) return undefined;
  const {
    flops: ofFlops = 0,
    bytes: ofBytes = 0,
    nodeStarts = 0,
    what,
  } = typeof limit === 'function' ? limit(extras) : limit;
  const starting = nodeStarts > 0 ? nodeStarts * nodeStart() : 0;
  return { seconds: Math.max(ofFlops / flops, ofBytes / bytes, starting), what };
}

/** Seconds that Node takes to start and do nothing. */
function nodeStart() {
  const times = Array.from({ length: 7 }, () => {
    const start = performance.now();
    spawnSync(process.execPath, ['-e', '0'], { stdio: 'ignore' });
    return (performance.now() - start) / 1000;
  });
  return median(times);
}

async function measure(row, machine) {
  const { name, side = name, args = [], peers = AS_IT_COMES, data, repeats = 3, cold = false } = row;
  const { dataFiles } = await import('./data.mjs');
  const inputs = [...args, ...((await data?.(dataFiles)) ?? [])];
  const sides = [];
  try {
    const best = row.absolute ? undefined : await bestPeer(side, inputs, peers, cold);
    const peer = best?.peer;
    if (peer) sides.push(peer);
    const ours = await startOurs(side, [...inputs, ...(row.ours ?? [])]);
    sides.push(ours);
    if (!cold) {
      await ours.run();
      await peer?.run();
    }
    const results = { ours: [], peer: [] };
    const speeds = row.limit ? [await machine.run('flops')] : [];
    for (let i = 0; i < repeats; i++) {
      results.ours.push(await ours.run());
      if (peer) results.peer.push(await peer.run());
    }
    if (row.limit) speeds.push(await machine.run('flops'));
    const flops = Math.max(...speeds.map((speed) => speed.flops));
    const bytes = Math.max(...speeds.map((speed) => speed.bytes));

    const oursSeconds = median(results.ours.map(({ seconds }) => seconds));
    const peerSeconds = peer ? median(results.peer.map(({ seconds }) => seconds)) : null;
    // Of each turn, so that what slows both does not count.
    const ratios = results.peer.map(({ seconds }, turn) => results.ours[turn].seconds / seconds);
    const ratio = peer ? median(ratios) : null;
    const wrong = complaints(row, results.ours.at(-1), results.peer.at(-1));
    return {
      name,
      oursSeconds,
      peerSeconds,
      ratio,
      ...(peer && { spread: [Math.min(...ratios), Math.max(...ratios)] }),
      bar: row.bar,
      met: wrong.length === 0 && (ratio ?? oursSeconds) <= row.bar,
      ...(wrong.length > 0 && { wrong }),
      ...(best && { peerSetting: best.setting.name, tried: best.tried }),
      runs: { ours: results.ours.map(strip), peer: results.peer.map(strip) },
      extras: results.ours.at(-1),
      limit: limitOf(row, { flops, bytes }, results.ours.at(-1)),
      ...(row.limit && { speed: { flops, bytes } }),
    };
  } finally {
    for (const side of sides) await side.end();
  }
}

const strip = ({ seconds }) => Number(seconds.toPrecision(4));

const { values, positionals } = commandLine(
  {
    row: { type: 'string', multiple: true },
    json: { type: 'string' },
    write: { type: 'boolean' },
    list: { type: 'boolean' },
  },
  ['[NAME…]'],
);

if (values.list) {
  for (const { name, work } of rows) say(`${name.padEnd(20)}${work}`);
} else {
  await main();
}

function setUp() {
  const { status } = spawnSync(process.execPath, [join(ROOT, 'scripts/setup.mjs'), '--bench'], {
    cwd: ROOT,
    stdio: 'inherit',
  });
  if (status !== 0) say('the set-up is not complete, see above: rows that need what is missing will fail');
  if (PYTHON_TODAY !== benchPython(ROOT)) return;
  if (!existsSync(PYTHON_TODAY)) say("bringing today's PyTorch and what is compared with it: some gigabytes");
  const failed = bringBenchPeers(ROOT, PYTHON);
  if (failed) say(`today's PyTorch cannot be had, the peer is 1.13 alone: ${failed}`);
}

async function main() {
  // `--row A B` gives B as a positional.
  const named = [...(values.row ?? []), ...positionals];
  const unknown = named.filter((name) => !rows.some((row) => row.name === name));
  if (unknown.length > 0)
    refuse(`no row ${unknown.join(', ')}; the rows are ${rows.map(({ name }) => name).join(', ')}`);
  const only = named.length > 0;
  const wanted = rows.filter(({ name }) => !only || named.includes(name));
  setUp();
  const about = describeMachine({ debian: PYTHON, today: PYTHON_TODAY });
  const instructions = instructionsOf();
  const possible = ({ instructions: some }) => !some || some.some((one) => instructions.includes(one));
  const chosen = wanted.filter(possible);
  for (const { name, instructions: some } of wanted.filter((row) => !possible(row)))
    say(`${name}: skipped, this processor has none of ${some.join(', ')}`);
  say(`${about.cpu}, ${about.cores} cores: ${about.instructions}`);
  const results = [];
  const machine = await startOurs('machine', []);
  for (const row of chosen) {
    say(`\n${row.name}: ${row.work}`);
    try {
      const result = await measure(row, machine);
      results.push(result);
      const { oursSeconds, peerSeconds, ratio, spread, peerSetting, bar, met, wrong } = result;
      const peer =
        peerSeconds === null
          ? ''
          : `, peer (${peerSetting}) ${peerSeconds.toPrecision(3)} s, ratio ${ratio.toFixed(3)} (${spread.map((end) => end.toFixed(3)).join(' to ')})`;
      say(`  ours ${oursSeconds.toPrecision(3)} s${peer}, bar ${bar}: ${met ? 'met' : 'NOT MET'}`);
      for (const line of wrong ?? []) say(`  ${line}`);
    } catch (error) {
      say(`  failed: ${error.message}`);
      const { name, bar } = row;
      const none = { oursSeconds: null, peerSeconds: null, ratio: null };
      results.push({ name, ...none, bar, met: false, failed: error.message.split('\n')[0] });
    }
    // After each row, so that a long run that is ended early leaves what it has measured.
    if (!only || values.write) writeReport({ about, results });
  }
  await machine.end();

  say(`\n${resultsTable(results)}`);
  if (values.json) {
    const kept = results.map(({ name, oursSeconds, peerSeconds, ratio, spread, peerSetting, bar, met }) => {
      return { name, oursSeconds, peerSeconds, ratio, spread, peerSetting, bar, met };
    });
    writeFileSync(values.json, `${JSON.stringify(kept, null, 2)}\n`);
  }
  if (results.some(({ met }) => !met)) process.exitCode = 1;
}
