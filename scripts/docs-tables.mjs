// Tables of options in the docs, made of the experiment's schema: npm run docs:tables -- --write. They stand between
// <!-- table: WHAT --> and <!-- end of table -->; a test holds the docs to them, so that no default stands there by hand.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { experimentLibrary } from './experiment-library.mjs';
import { allowedIn, PACKAGES, ROOMS } from './import-directions.mjs';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const TABLE = /<!-- table: ([\w -]+) -->\n[\s\S]*?<!-- end of table -->/g;

/** The files that may hold tables, by their paths from the root. */
export const documents = () => [
  'README.md',
  ...readdirSync(join(ROOT, 'docs'))
    .filter((file) => file.endsWith('.md') && file !== 'LOG.md')
    .map((file) => `docs/${file}`),
];

const inCell = (text) => text.replaceAll('|', '\\|').replaceAll('\n', ' ');
const table = (head, rows) =>
  [head, head.map(() => '---'), ...rows].map((row) => `| ${row.map(inCell).join(' | ')} |`).join('\n');

function shown(value) {
  if (value === undefined) return '';
  if (typeof value === 'object' && value !== null && 'name' in value) return `\`${value.name}\``;
  return typeof value === 'string' ? `\`${value}\`` : `\`${JSON.stringify(value)}\``;
}

/** The options of a schema that is no union of parts: of one that is made of several, each of these by its path. */
const optionsIn = ({ properties = {} }) =>
  Object.entries(properties).flatMap(([name, field]) => {
    if (name === 'name') return [];
    const several = field.anyOf?.find(({ properties }) => properties && !properties.name && !properties.own);
    const inner = field.properties
      ? optionsIn(field)
      : [[null, field], ...(several && !isPart(field) ? optionsIn(several) : [])];
    return inner.map(([within, one]) => [within === null ? name : `${name}.${within}`, one]);
  });

/** Every table by its name. */
export function tablesOf({ builtInParts, schema, flags, metrics, jsonSchemaOf }) {
  const flagOf = (path, part = null, option = null) => {
    const flag = flags.find(({ targets }) =>
      targets.some(
        (target) =>
          target.path === path &&
          (part === null ? target.part === null : target.names.includes(part)) &&
          (target.option === option || (part === null && target.option === 'name')),
      ),
    );
    return flag ? `\`--${flag.name}\`` : '';
  };
  const values = (option) =>
    (option.anyOf ?? [option]).flatMap((one) => one.enum ?? []).map((one) => `\`${one}\``);
  const about = (option) => {
    const choices = values(option);
    return `${option.description ?? ''}${choices.length > 0 ? `: ${choices.join(', ')}` : ''}`;
  };
  const section = (name) => {
    const fields = optionsIn(schema.properties[name]);
    return table(
      ['field', 'flag', 'default', 'what it is'],
      fields.map(([field, option]) => [
        `\`${name}.${field}\``,
        flagOf(`${name}.${field}`),
        option.default === undefined ? (isNullable(option) ? '`null`' : '') : shown(option.default),
        about(option),
      ]),
    );
  };
  const parts = (path, list) =>
    table(
      ['name', 'what it is', 'its options: flag and default'],
      list.map(({ name, help, options }) => [
        `\`${name}\``,
        help,
        optionsIn(jsonSchemaOf(options))
          .map(([option, { default: standard }]) => {
            const flag = path === 'track' ? flagOf(path, name, option) : flagOf(path, name, option);
            const inBrackets = [flag, shown(standard)].filter(Boolean).join(', ');
            return `\`${option}\`${inBrackets && ` (${inBrackets})`}`;
          })
          .join(', ') || 'none',
      ]),
    );
  const beside = (kind, list) =>
    table(
      [kind, 'what it is of, and where others differ'],
      list.filter(({ differs }) => differs).map(({ name, differs }) => [`\`${name}\``, differs]),
    );
  const { losses } = builtInParts;
  return {
    ...Object.fromEntries(
      ['data', 'model', 'divide', 'optimize', 'train', 'evaluate'].map((name) => [
        `section ${name}`,
        section(name),
      ]),
    ),
    'losses of tuples': parts(
      'loss',
      losses.filter(({ usesTuples }) => usesTuples),
    ),
    'losses of the batch': parts(
      'loss',
      losses.filter(({ usesTuples }) => !usesTuples),
    ),
    'what losses take': table(
      ['loss', 'images of several labels', 'pairs in the place of classes', 'rows of earlier batches'],
      losses.map(({ name, options, build }) => {
        const loss = build(options.parse({}), { numClasses: 2, embeddingDim: 4, compat: null });
        const { takesSeveralLabels, takesKnownPairs, usesReference } = loss;
        const byMiner = loss.usesTuples && !takesSeveralLabels ? 'by a miner' : '';
        loss.dispose();
        const yes = (does) => (does ? 'yes' : '');
        return [`\`${name}\``, yes(takesSeveralLabels) || byMiner, yes(takesKnownPairs), yes(usesReference)];
      }),
    ),
    'losses and others': beside('loss', losses),
    miners: parts('miner', builtInParts.miners),
    'miners and others': beside('miner', builtInParts.miners),
    datasets: parts('data.dataset', builtInParts.datasets),
    augmentations: parts('data.augmentation', builtInParts.augmentations),
    samplers: parts('data.sampler', builtInParts.samplers),
    backbones: parts('model.backbone', builtInParts.backbones),
    heads: parts('model.head', builtInParts.heads),
    tunings: parts('model.tuning', builtInParts.tunings),
    optimisers: parts('optimize.optimizer', builtInParts.optimizers),
    schedules: parts('optimize.schedule', builtInParts.schedules),
    trackers: parts('track', builtInParts.trackers),
    stores: storeTable(),
    packages: directions(PACKAGES),
    rooms: directions(ROOMS),
    metrics: table(
      [
        'name',
        'what it is',
        'divided by',
        'a query that can find nothing counts',
        'the same elsewhere',
        'measured with',
      ],
      metrics.map(({ names, at = [], help, divisor = '', withoutMatch = '', others = '', shown, when }) => [
        names(at === 'recall' ? [1, 10] : at)
          .map((name) => `\`${name}\``)
          .join(', '),
        `${help}${shown === 'plain' ? '; no per cent' : ''}`,
        divisor,
        withoutMatch,
        others,
        { always: 'usual, all', all: 'all', named: 'its name' }[when],
      ]),
    ),
  };
}

/** What bench/stores.mjs measured of each store. */
function storeTable() {
  const figures = JSON.parse(readFileSync(join(ROOT, 'bench/stores.json'), 'utf8'));
  const seconds = (value) => `${Number(value.toPrecision(2))} s`;
  return table(
    [
      'store',
      'rows',
      'to fill',
      'to build',
      'an exact query',
      'an approximate one',
      'recall@10',
      'on the disk',
    ],
    figures.map((one) => [
      `\`${one.store}\``,
      one.rows.toLocaleString('en-US'),
      seconds(one.fillSeconds),
      one.candidates === null ? 'none' : seconds(one.buildSeconds),
      `${Math.round(one.exactMilliseconds)} ms`,
      one.candidates === null ? 'all are exact' : `${Number(one.milliseconds.toPrecision(2))} ms`,
      one.recall.toFixed(3),
      one.megabytes === null ? 'the server’s' : `${Math.round(one.megabytes)} MB`,
    ]),
  );
}

/** Whether one of several parts can stand there. */
const isPart = ({ anyOf = [], oneOf = [] }) => oneOf.length > 0 || anyOf.some(isPart);

const isNullable = ({ anyOf = [] }) => anyOf.some(({ type }) => type === 'null');

/** Who may import what. */
const directions = (rooms) =>
  table(
    ['', 'imports'],
    Object.keys(rooms).map((name) => [`\`${name}\``, allowedIn(rooms, name).join(', ') || 'nothing']),
  );

/** A document with its tables as they are to be. @throws Error for a table that there is not */
export function withTables(document, tables) {
  return document.replaceAll(TABLE, (_, name) => {
    if (!(name in tables))
      throw new Error(`there is no table ${name}; there are ${Object.keys(tables).join(', ')}`);
    return `<!-- table: ${name} -->\n${tables[name]}\n<!-- end of table -->`;
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const tables = tablesOf(await experimentLibrary());
  for (const file of documents()) {
    const before = readFileSync(join(ROOT, file), 'utf8');
    const after = withTables(before, tables);
    if (after === before) continue;
    console.log(`${file}: ${process.argv.includes('--write') ? 'written' : 'is not current (--write)'}`);
    if (process.argv.includes('--write')) writeFileSync(join(ROOT, file), after);
  }
}
