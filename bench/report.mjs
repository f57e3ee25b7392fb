// Writes docs/performance.md from the results of the rows (results.json), of the growth (growth.json), and of how soon work is
// stopped and other figures by hand (stopping.md: responsive.mjs, a slow test, attention.mjs and million.mjs print them).
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rows } from './rows.mjs';

const HERE = dirname(fileURLToPath(import.meta.url));
const RESULTS = join(HERE, 'results.json');
const GROWTH = join(HERE, 'growth.json');
const STOPPING = join(HERE, 'stopping.md');
const DOCUMENT = join(dirname(HERE), 'docs/performance.md');

const readJson = (path) => (existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : undefined);

function execute(command, args) {
  try {
    return execFileSync(command, args, {
      cwd: HERE,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return 'missing';
  }
}

/** What the numbers were measured on and with. */
export function describeMachine(python) {
  const version = (name) => execute(python, ['-c', `import ${name}; print(${name}.__version__)`]);
  const ours = "import('@conquer-dml/torch').then((t) => console.log(t.torchVersion()))";
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memory: totalmem(),
    node: process.versions.node,
    libtorch: execute(process.execPath, ['-e', ours]),
    PyTorch: version('torch'),
    torchvision: version('torchvision'),
    faiss: version('faiss'),
    numpy: version('numpy'),
    'scikit-learn': version('sklearn'),
  };
}

const seconds = (value) => {
  if (value === null || value === undefined) return '–';
  if (value >= 100) return `${value.toFixed(0)} s`;
  if (value >= 1) return `${value.toFixed(2)} s`;
  return value >= 1e-3 ? `${(1000 * value).toPrecision(3)} ms` : `${(1e6 * value).toPrecision(3)} µs`;
};

const ratio = (value) => (value === null || value === undefined ? '–' : value.toFixed(3));

const verdict = ({ met, failed, wrong }) =>
  met ? 'yes' : failed ? 'failed' : wrong ? 'no: numbers differ' : 'no';

/** The rows as a table for the terminal. */
export function resultsTable(results) {
  const header = ['', 'ours', 'peer', 'ratio', 'bar', 'met', 'limit', 'of limit'];
  const lines = results.map((result) => [
    result.name,
    seconds(result.oursSeconds),
    seconds(result.peerSeconds),
    ratio(result.ratio),
    `${result.bar}${absolute(result.name) ? ' s' : ''}`,
    verdict(result),
    seconds(result.limit?.seconds),
    result.limit && result.oursSeconds ? `${(result.oursSeconds / result.limit.seconds).toFixed(2)} ×` : '–',
  ]);
  const widths = header.map((_, column) =>
    Math.max(...[header, ...lines].map((line) => line[column].length)),
  );
  const format = (line) =>
    line.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('  ');
  return [header, ...lines].map(format).join('\n');
}

const absolute = (name) => rows.find((row) => row.name === name)?.absolute === true;

/** Keeps these results beside those of other rows, and writes the document. */
export function writeReport({ about, results, growth }) {
  const kept = readJson(RESULTS) ?? { rows: {} };
  const date = new Date().toISOString().slice(0, 10);
  const ofToday = (name) => rows.some((row) => row.name === name && row.needs !== undefined);
  for (const result of results ?? [])
    kept.rows[result.name] = { ...result, date, ...(ofToday(result.name) && { about }) };
  // Rows of another PyTorch have their versions with them.
  if (!results?.length || !results.every(({ name }) => ofToday(name))) kept.about = about;
  writeFileSync(RESULTS, `${JSON.stringify(kept, null, 1)}\n`);
  if (growth) writeFileSync(GROWTH, `${JSON.stringify({ ...growth, date }, null, 1)}\n`);
  writeFileSync(DOCUMENT, document(kept, readJson(GROWTH)));
}

function document({ about, rows: measured }, growth) {
  const { cpu, cores, memory, ...versions } = about;
  const done = rows.flatMap(({ name }) => (measured[name] ? [measured[name]] : []));
  const speed = done.flatMap(({ speed }) => (speed ? [speed] : []));
  const range = (values, unit) => {
    const [low, high] = [Math.min(...values), Math.max(...values)].map((value) => (value / 1e9).toFixed(0));
    return `${low === high ? low : `${low} to ${high}`} ${unit}`;
  };
  const table = done.map((result) => {
    const { name, oursSeconds, peerSeconds, limit, peerSetting } = result;
    const row = rows.find((candidate) => candidate.name === name);
    const bar = row.absolute ? `${row.bar} s` : row.bar.toFixed(2);
    const far = limit && oursSeconds ? `${(oursSeconds / limit.seconds).toPrecision(3)} ×` : '–';
    const cells = [
      `${row.work}${peerSetting ? ` (peer at \`${peerSetting}\`)` : ''}`,
      seconds(oursSeconds),
      seconds(peerSeconds),
      row.absolute ? '–' : `**${ratio(result.ratio)}**`,
      bar,
      verdict(result),
      limit ? `${seconds(limit.seconds)}: ${limit.what}` : '–',
      far,
    ];
    return `| ${cells.join(' | ')} |`;
  });
  const missing = rows.filter(({ name }) => !measured[name]).map(({ name }) => name);
  const lines = [
    '# Performance',
    '',
    'Written by `npm run bench` and `node bench/growth.mjs`; do not edit. Both sides of a row do the same work on the same',
    "inputs, by turns, in one run on one machine: ours, and PyTorch's, faiss's or scikit-learn's in Python at the best setting",
    'found (2 threads, `OMP_WAIT_POLICY=passive`, loader workers tried at 0, 1, 2). Times are medians. They mean little on another',
    'machine, the ratios more. The programs are in `bench/ours` and `bench/peers`. Part of the lead is that freed memory is kept, which',
    'PyTorch does not do by itself; [what PyTorch takes when glibc is told to](LOG.md#what-memory-from-the-system-costs).',
    '',
    `Machine: ${cpu}, ${cores} cores, ${(memory / 2 ** 30).toFixed(0)} GiB. ` +
      `${Object.entries({ Node: versions.node, ...versions })
        .filter(([name]) => name !== 'node')
        .map(([name, version]) => `${name} ${version}`)
        .join(', ')}.`,
    '',
    'The limit of a row is the least it must compute or move over what this machine was measured to do beside that row: ' +
      `matrix products of 2,048² at ${range(
        speed.map(({ flops }) => flops),
        'GFLOP/s',
      )}, copies at ${range(
        speed.map(({ bytes }) => bytes),
        'GB/s',
      )} (float32, 2 threads).`,
    '',
    '| work | ours | peer | ratio | bar | met | limit | ours / limit |',
    '|---|---|---|---|---|---|---|---|',
    ...table,
    '',
    ...(missing.length > 0 ? [`Not measured yet: ${missing.join(', ')}.`, ''] : []),
    ...(growth ? growthSection(growth) : []),
    readFileSync(STOPPING, 'utf8'),
  ];
  return `${lines.join('\n').trimEnd()}\n`;
}

/** Tables of how cost grows, with the exponent of a straight line through the logarithms. */
function growthSection({ curves }) {
  const lines = ['## How cost grows', '', '![Time against size, both logarithmic](growth.svg)', ''];
  for (const { title, size, unit, points, exponent, note } of curves) {
    lines.push(`### ${title}`, '');
    lines.push(`| ${size} | ${points.map(({ x }) => x.toLocaleString('en')).join(' | ')} |`);
    lines.push(`|---|${points.map(() => '---|').join('')}`);
    lines.push(`| ${unit} | ${points.map(({ seconds: value }) => seconds(value)).join(' | ')} |`);
    if (points.some(({ bytes }) => bytes !== undefined)) {
      const memory = points.map(({ bytes }) => `${(bytes / 2 ** 20).toFixed(0)} MiB`);
      lines.push(`| memory beyond the inputs | ${memory.join(' | ')} |`);
    }
    lines.push(
      '',
      `Time grows with the power ${exponent.toFixed(2)} of ${size}.${note ? ` ${note}` : ''}`,
      '',
    );
  }
  return lines;
}
