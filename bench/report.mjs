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

/** Of the processor's instructions those that decide how fast products are; on another system than Linux none are told. */
const DECISIVE =
  /^(avx2|fma|avx_vnni|avx512(f|_vnni|_bf16|_fp16)|amx_(tile|bf16|int8)|asimd\w*|sve2?|bf16|i8mm)$/;

/** @returns {string[]} */
export function instructionsOf() {
  if (!existsSync('/proc/cpuinfo')) return [];
  const [, words = ''] = /^(?:flags|Features)\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8')) ?? [];
  return words.split(/\s+/).filter((word) => DECISIVE.test(word));
}

/**
 * What the numbers were measured on and with.
 *
 * @param pythons the interpreters of Debian's PyTorch and of today's; one that is not there has no versions
 */
export function describeMachine(pythons) {
  const version = (name) => {
    const found = Object.values(pythons).map((python) =>
      execute(python, ['-c', `import ${name}; print(${name}.__version__)`]),
    );
    return found.filter((one) => one !== 'missing').join(' and ') || 'missing';
  };
  const ours = "import('@conquer-dml/torch').then((t) => console.log(t.torchVersion()))";
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    instructions: instructionsOf().join(' ') || 'instructions not told',
    cores: availableParallelism(),
    memory: totalmem(),
    node: process.versions.node,
    libtorch: execute(process.execPath, ['-e', ours]),
    PyTorch: version('torch'),
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

const range = (spread) => (spread ? `${ratio(spread[0])} to ${ratio(spread[1])}` : '–');

const verdict = ({ met, failed, wrong }) =>
  met ? 'yes' : failed ? 'failed' : wrong ? 'no: numbers differ' : 'no';

/** The rows as a table for the terminal. */
export function resultsTable(results) {
  const header = ['', 'ours', 'peer', 'ratio', 'spread', 'bar', 'met', 'limit', 'of limit', 'the peer is'];
  const lines = results.map((result) => [
    result.name,
    seconds(result.oursSeconds),
    seconds(result.peerSeconds),
    ratio(result.ratio),
    range(result.spread),
    `${result.bar}${absolute(result.name) ? ' s' : ''}`,
    verdict(result),
    seconds(result.limit?.seconds),
    result.limit && result.oursSeconds ? `${(result.oursSeconds / result.limit.seconds).toFixed(2)} ×` : '–',
    result.peerSetting ?? '',
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
  // A row has its machine with it: rows are measured anew one by one.
  for (const result of results ?? []) kept.rows[result.name] = { ...result, date, about };
  if (results?.length) kept.about = about;
  writeFileSync(RESULTS, `${JSON.stringify(kept, null, 1)}\n`);
  if (growth) writeFileSync(GROWTH, `${JSON.stringify({ ...growth, date }, null, 1)}\n`);
  writeFileSync(DOCUMENT, document(kept, readJson(GROWTH)));
}

/** Where a row was measured, if elsewhere than the last. */
function onAnother({ about: own }, about) {
  if (!own || (own.cpu === about.cpu && own.instructions === about.instructions)) return '';
  return ` (on ${own.cpu}${own.instructions ? `, ${own.instructions}` : ''})`;
}

function document({ about, rows: measured }, growth) {
  const { cpu, instructions, cores, memory, ...versions } = about;
  const done = rows.flatMap(({ name }) => (measured[name] ? [measured[name]] : []));
  const speed = done.flatMap(({ speed }) => (speed ? [speed] : []));
  const between = (values, unit) => {
    const [low, high] = [Math.min(...values), Math.max(...values)].map((value) => (value / 1e9).toFixed(0));
    return `${low === high ? low : `${low} to ${high}`} ${unit}`;
  };
  const table = done.map((result) => {
    const { name, oursSeconds, peerSeconds, limit, peerSetting } = result;
    const row = rows.find((candidate) => candidate.name === name);
    const bar = row.absolute ? `${row.bar} s` : row.bar.toFixed(2);
    const far = limit && oursSeconds ? `${(oursSeconds / limit.seconds).toPrecision(3)} ×` : '–';
    const cells = [
      `${row.work}${peerSetting ? ` (peer at \`${peerSetting}\`)` : ''}${onAnother(result, about)}`,
      seconds(oursSeconds),
      seconds(peerSeconds),
      row.absolute ? '–' : `**${ratio(result.ratio)}**`,
      range(result.spread),
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
    "inputs, by turns, in one run on one machine: ours, and PyTorch's, faiss's or scikit-learn's in Python (2 threads,",
    "`OMP_WAIT_POLICY=passive`). The peer is Debian's PyTorch 1.13 or PyPI's 2.13, whichever is faster in the best of its settings",
    '(`bench/peer-settings.mjs`: eager, channels_last, torch.compile, fused Adam, [freed memory kept](LOG.md#what-memory-from-the-system-costs), onnxruntime, workers of the loader), which are tried',
    'first. Times are medians; the ratio is the median of those of the turns, the least and largest of which stand beside it. Rows without these were',
    'measured before that, beside PyTorch 1.13 alone. Times mean little on another machine, the ratios more. The programs are in `bench/ours` and',
    '`bench/peers`; `npm run bench -- --row NAME` measures one row, and `--write` puts it here.',
    '',
    `Machine: ${cpu}${instructions ? ` (${instructions})` : ''}, ${cores} cores, ${(memory / 2 ** 30).toFixed(0)} GiB. ` +
      `${Object.entries({ Node: versions.node, ...versions })
        .filter(([name]) => name !== 'node')
        .map(([name, version]) => `${name} ${version}`)
        .join(', ')}.`,
    '',
    'The limit of a row is the least it must compute or move over what this machine was measured to do beside that row: ' +
      `matrix products of 2,048² at ${between(
        speed.map(({ flops }) => flops),
        'GFLOP/s',
      )}, copies at ${between(
        speed.map(({ bytes }) => bytes),
        'GB/s',
      )} (float32, 2 threads).`,
    '',
    '| work | ours | peer | ratio | of the turns | bar | met | limit | ours / limit |',
    '|---|---|---|---|---|---|---|---|---|',
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
