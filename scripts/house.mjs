// What a change costs in this house, counted in its sources: npm run house prints the table, --write puts it into
// docs/architecture.md. Nothing here is a number kept by hand; a test holds the table to the sources.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, posix, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SyntaxKind } from 'typescript/unstable/ast';
import { API } from 'typescript/unstable/sync';
import { experimentLibrary } from './experiment-library.mjs';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const CONQUER = 'packages/conquer/src';
const DOCUMENT = join(ROOT, 'docs/architecture.md');
const MARKERS = ['<!-- house: npm run house -- --write -->', '<!-- end of house -->'];

/** What can be added, and the list that makes it known. */
const KINDS = {
  loss: 'losses/losses.ts',
  miner: 'miners/miners.ts',
  'data set': 'datasets/datasets.ts',
  sampler: 'samplers/samplers.ts',
  backbone: 'models/backbones/backbones.ts',
  head: 'models/heads/heads.ts',
  tuning: 'models/tunings/tunings.ts',
  augmentation: 'data/augmentations.ts',
  optimiser: 'optimize/optimizers.ts',
  schedule: 'optimize/schedules.ts',
  metric: 'evaluate/metrics.ts',
  tracker: 'track/trackers.ts',
  command: 'cli/commands/commands.ts',
};

/** Why a file may be longer than 400 lines. */
export const REASONS = {
  'packages/torch/src/tensor.ts':
    "the methods of a tensor, one or two lines each: one class, as in PyTorch's reference",
  'packages/torch/src/serialization/unpickler.ts':
    "the opcodes of pickle's machine: one loop over one stack, a case each",
};

/** Functions that can be called without an experiment, and what they take where nothing is said. */
const BY_THEMSELVES = {
  'data/loader.ts': ['device'],
  'data/normalize.ts': ['channels'],
  'neighbours/pairwise.ts': ['squared'],
  'retrieve/open-model.ts': ['device'],
  'cli/commands/embed.ts': ['device'],
  'cli/commands/index-images.ts': ['device'],
};

/** The public index: whoever takes parts by their classes finds them there; nothing in the house needs the line. */
const INDEX = `${CONQUER}/index.ts`;
const LONG = 400;
const isTest = (file) => /\.test\.\w+$|\/(testing|test|golden|fixtures)\//.test(file);

/** All source files but tests and what is generated, by their paths from the root: their syntax trees. */
function parsed() {
  const api = new API({ cwd: ROOT });
  try {
    const files = new Map();
    const projects = [
      'tsconfig.test.json',
      'packages/dashboard/page/tsconfig.json',
      'packages/browser/tsconfig.json',
    ];
    const snapshot = api.updateSnapshot({ openProjects: projects.map((file) => join(ROOT, file)) });
    for (const { program } of snapshot.getProjects()) {
      for (const name of program.getSourceFileNames()) {
        const file = relative(ROOT, name).replaceAll('\\', '/');
        if (!/^packages\/\w+\/(page\/)?src\/.*\.ts$/.test(file) || isTest(file)) continue;
        if (file.includes('/generated/') || files.has(file)) continue;
        files.set(file, fileOf(program.getSourceFile(name)));
      }
    }
    return files;
  } finally {
    api.close();
  }
}

/** Everything that is counted in a file, read in one walk through its tree. */
function fileOf(source) {
  const found = {
    functions: [],
    imports: new Set(),
    texts: new Set(),
    words: new Set(),
    standing: [],
    listed: [],
  };
  const from = new Map();
  const walk = (node, parent) => {
    const kind = SyntaxKind[node.kind];
    if (/^(Function|Arrow|Method|Constructor|GetAccessor|SetAccessor)/.test(kind) && node.body) {
      const line = (position) => source.getLineAndCharacterOfPosition(position).line;
      const start = line(node.getStart(source));
      const name =
        kind === 'Constructor' ? 'constructor' : (node.name?.text ?? parent?.name?.text ?? 'unnamed');
      found.functions.push({ name, line: start + 1, lines: line(node.end) - start + 1 });
    }
    if ((kind === 'ImportDeclaration' || kind === 'ExportDeclaration') && node.moduleSpecifier)
      found.imports.add(node.moduleSpecifier.text);
    if (kind === 'CallExpression' && SyntaxKind[node.expression.kind] === 'ImportKeyword')
      found.imports.add(node.arguments[0].text ?? '');
    if (kind === 'ImportSpecifier') from.set(node.name.text, parent.parent.parent.moduleSpecifier.text);
    if (kind === 'ArrayLiteralExpression' && SyntaxKind[parent?.parent?.kind] === 'SatisfiesExpression')
      found.listed = node.elements.map(({ text, expression }) => ({
        specifier: from.get(text ?? expression.text),
        several: text === undefined,
      }));
    if (kind === 'StringLiteral') for (const text of textsIn(node, parent)) found.texts.add(text);
    if (kind === 'PropertyAssignment' && node.name.text !== undefined)
      found.texts.add(`key ${node.name.text}`);
    if (kind === 'Identifier') found.words.add(node.text);
    const standing = defaultIn(node, kind);
    if (standing) found.standing.push(standing);
    node.forEachChild((child) => {
      walk(child, node);
    });
  };
  source.forEachChild((child) => {
    walk(child, null);
  });
  return { ...found, lines: source.text.split('\n').length - 1 };
}

/** The names of parts that a text may hold: where it is a part's `name`, is compared with one, or is one of several. */
function textsIn({ text }, parent) {
  const kind = SyntaxKind[parent?.kind];
  const inPath = /^\w+(?:\.\w+)*\/([\w-]+)\./.exec(text);
  if (inPath) return [inPath[1]];
  if (kind === 'PropertyAssignment') return parent.name.text === 'name' ? [text] : [`value ${text}`];
  const named = ['BinaryExpression', 'CaseClause', 'ArrayLiteralExpression', 'LiteralType'];
  return named.includes(kind) ? [text] : [];
}

/** A default in code: `{ name = 1 }` of what is taken apart, or `options.name ?? 1`. */
function defaultIn(node, kind) {
  if (kind === 'BindingElement' && node.initializer) {
    const name = (node.propertyName ?? node.name)?.text;
    return literal(node.initializer) === undefined ? null : { name, value: literal(node.initializer) };
  }
  if (kind !== 'BinaryExpression' || SyntaxKind[node.operatorToken.kind] !== 'QuestionQuestionToken')
    return null;
  const name = node.left.name?.text ?? node.left.text;
  return literal(node.right) === undefined ? null : { name, value: literal(node.right) };
}

function literal(node) {
  const kind = SyntaxKind[node.kind];
  if (kind === 'TrueKeyword' || kind === 'FalseKeyword') return kind === 'TrueKeyword';
  if (kind === 'StringLiteral') return node.text;
  return kind === 'NumericLiteral' ? Number(node.text) : undefined;
}

/** The parts of a list, in its order: their files, and their names. */
function partsOf(files, list, names) {
  const { listed, imports } = files.get(`${CONQUER}/${list}`);
  const part = (specifier, name) => ({ name, file: resolved(`${CONQUER}/${list}`, specifier) });
  if (!names) {
    const own = [...imports].filter((specifier) => specifier !== './command.js');
    return own.map((specifier) => part(specifier, null));
  }
  const each = listed.flatMap(({ specifier, several }) =>
    Array.from({ length: several ? names.length - listed.length + 1 : 1 }, () => specifier),
  );
  return each.map((specifier, i) => part(specifier, names[i]));
}

const resolved = (file, specifier) => posix.join(posix.dirname(file), specifier).replace(/\.js$/, '.ts');

/** Which other files have something of a part: import its file, or name it. */
function touched(files, list, { name, file }, siblings) {
  const found = [];
  for (const [other, { imports, texts }] of files) {
    if (other === file || other === `${CONQUER}/${list}` || siblings.includes(other)) continue;
    if (!other.startsWith(CONQUER)) continue;
    const importing = [...imports].some((specifier) => resolved(other, specifier) === file);
    if (importing || (name !== null && texts.has(name))) found.push(other);
  }
  return found;
}

function rowOf(kind, list, files, names) {
  const parts = partsOf(files, list, names);
  const siblings = parts.map(({ file }) => file);
  const counts = new Map();
  for (const part of parts)
    for (const other of touched(files, list, part, siblings)) counts.set(other, (counts.get(other) ?? 0) + 1);
  const must = [...counts].filter(([, count]) => count === parts.length).map(([file]) => file);
  return { kind, list, parts: parts.length, must: must.filter((file) => file !== INDEX) };
}

/** The options of a schema with their defaults, by path; a part's below its name. */
function optionsOf(schema, path = '', found = new Map(), within = null) {
  const { properties, anyOf, oneOf, items } = schema;
  for (const one of [...(anyOf ?? []), ...(oneOf ?? []), ...(items ? [items] : [])])
    optionsOf(one, path, found, within);
  const part = properties?.name?.const ?? within;
  for (const [name, field] of Object.entries(properties ?? {})) {
    if (name === 'name' || name === 'own' || (properties.own && name === 'options')) continue;
    const at = [path, properties.name?.const, name].filter(Boolean).join('.');
    const isSection = field.properties !== undefined;
    if (!isSection) found.set(at, { name, part, default: field.default });
    optionsOf(field, at, found, part);
  }
  return found;
}

/**
 * @param library `schema`: the JSON Schema of an experiment; `names`: of each kind, by its list, its parts' names
 */
export function house({ schema, names }) {
  const files = parsed();
  const rows = Object.entries(KINDS).map(([kind, list]) => rowOf(kind, list, files, names[list]));
  const functions = [...files].flatMap(([file, source]) => source.functions.map((one) => ({ ...one, file })));
  const longest = functions.reduce((a, b) => (b.lines > a.lines ? b : a));
  const inOthers = otherFiles();
  const long = [...[...files].map(([file, { lines }]) => ({ file, lines })), ...inOthers]
    .filter(({ lines }) => lines > LONG)
    .sort((a, b) => b.lines - a.lines);
  const options = [...optionsOf(schema)].map(([path, option]) => ({ path, ...option }));
  const ours = [...files].filter(([file]) => file.startsWith(CONQUER));
  const twice = options.flatMap((option) =>
    ours
      .filter(([file, { standing }]) =>
        standing.some(
          ({ name, value }) =>
            name === option.name &&
            value === option.default &&
            !BY_THEMSELVES[file.slice(CONQUER.length + 1)]?.includes(name),
        ),
      )
      .map(([file]) => ({ path: option.path, file })),
  );
  const fields = options.filter(({ path, part }) => part === null && path.includes('.'));
  const inHalf = ours.filter(
    ([, { words }]) => fields.filter(({ name }) => words.has(name)).length > fields.length / 2,
  );
  return { rows, longest, long, twice, field: { must: inHalf.map(([file]) => file) } };
}

/** As it stands in docs/architecture.md. */
export function tableOf({ rows, longest, long, twice, field }) {
  const file = (path) => `\`${path.replace(`${CONQUER}/`, '')}\``;
  const more = ({ must }) => (must.length > 0 ? ` + ${must.length}: ${must.map(file).join(', ')}` : '');
  const second = twice.map(({ path, file: at }) => `${path} in ${file(at)}`).join(', ');
  const lines = [
    '| to add | files to touch | its list |',
    '|---|---|---|',
    ...rows.map((row) => `| ${row.kind} | 1 + a line${more(row)} | ${file(row.list)} |`),
    `| field of the experiment | 1${more(field)}, and where it is used | the schema of its section |`,
    '',
    '| | |',
    '|---|---|',
    `| longest function | \`${longest.name}\` of ${file(longest.file)}, ${longest.lines} lines |`,
    `| places where a default stands | ${twice.length === 0 ? 1 : `2: ${second}`} |`,
    `| files over ${LONG} lines | ${long.length} |`,
    ...long.map(
      ({ file: path, lines }) => `| ${file(path)}, ${lines} lines | ${REASONS[path] ?? 'no reason'} |`,
    ),
  ];
  return lines.join('\n');
}

/** The document with the table between its markers. */
export function withTable(document, table) {
  const [before, rest] = document.split(MARKERS[0]);
  const after = rest?.split(MARKERS[1])[1];
  if (after === undefined)
    throw new Error(`expected the markers ${MARKERS.join(' and ')} in docs/architecture.md`);
  return `${before}${MARKERS[0]}\n${table}\n${MARKERS[1]}${after}`;
}

/** Files that are no TypeScript: C++, Svelte and scripts, with their lines. */
function otherFiles() {
  const folders = ['packages', 'scripts', 'bench', 'examples'];
  return folders.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true })
      .map((path) => `${folder}/${path.replaceAll('\\', '/')}`)
      .filter((path) => /\.(cc|h|svelte|mjs|py)$/.test(path) && !/node_modules|\/(dist|build)\//.test(path))
      .filter((path) => !isTest(path))
      .map((file) => ({ file, lines: readFileSync(join(ROOT, file), 'utf8').split('\n').length - 1 })),
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const table = tableOf(house(await experimentLibrary()));
  console.log(table);
  if (process.argv.includes('--write'))
    writeFileSync(DOCUMENT, withTable(readFileSync(DOCUMENT, 'utf8'), table));
}
