// What `conquer audit` finds of planted faults, beside cleanlab and cleanvision on the same photographs and features:
//   PYTHON=a venv with cleanlab, cleanvision and scikit-learn: node bench/audit.mjs PHOTOS [--classes 60] [--each 25]
// PHOTOS has a subfolder for each class, at any depth. Planted, always alike: copies, copies that were made smaller, copies in another
// class, wrong labels, photographs of something else, classes divided at random, classes joined.
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { audit, auditedFolder, openModel } from '../packages/conquer/dist/index.js';
import { Random } from '../packages/conquer/dist/random.js';
import { commandLine } from './command-line.mjs';
import { photoFolder } from './photos.mjs';

const sharp = createRequire(new URL('../packages/image/package.json', import.meta.url))('sharp');
const { values, positionals } = commandLine(
  { classes: { type: 'number', default: 60 }, each: { type: 'number', default: 25 } },
  ['PHOTOS'],
);
const random = new Random(11);
const folder = mkdtempSync(join(tmpdir(), 'audit-'));
const shuffled = (list) => Array.from(random.permutation(list.length), (at) => list[at]);

const found = new Map();
for (const entry of readdirSync(positionals[0], { recursive: true, withFileTypes: true })) {
  if (!entry.isFile() || !/\.(jpe?g|png|webp)$/i.test(entry.name)) continue;
  const name = basename(entry.parentPath);
  found.set(name, [...(found.get(name) ?? []), join(entry.parentPath, entry.name)]);
}
const classes = shuffled([...found].filter(([, files]) => files.length >= 12)).slice(0, values.classes);
/** Truth: of each kind the ids that it is about; an id is a path below the folder, or a class. */
const planted = { copy: [], smaller: [], twoLabels: [], wrong: [], outlier: [], one: [], two: [] };
const names = classes.map(([name]) => name);
const photos = classes.flatMap(([name, files]) =>
  shuffled(files.sort())
    .slice(0, values.each)
    .map((file, i) => ({ file, name, id: `${name}-${i}.jpg` })),
);
const place = ({ name, id }) => join(name, id);
const [joined, divided] = [names.slice(0, 6), names.slice(6, 9)];
for (let i = 0; i < 6; i += 2) planted.two.push(joined[i]);
for (const photo of photos) {
  const at = joined.indexOf(photo.name);
  if (at % 2 === 1) photo.name = joined[at - 1];
  if (divided.includes(photo.name) && random.next() < 0.5) photo.name = `${photo.name} too`;
}
for (const name of divided) planted.one.push(`${name}|${name} too`);
const labels = [...new Set(photos.map(({ name }) => name))];
const others = shuffled(
  photos.filter(({ name }) => !joined.includes(name) && !divided.includes(name.replace(/ too$/, ''))),
);
const share = (part) => others.splice(0, Math.round(part * photos.length));
for (const photo of share(0.05)) {
  photo.name = labels[(labels.indexOf(photo.name) + 1 + random.int(labels.length - 1)) % labels.length];
  planted.wrong.push(place(photo));
}
const extra = [];
for (const [kind, part] of [
  ['copy', 0.02],
  ['smaller', 0.02],
  ['twoLabels', 0.01],
])
  for (const photo of share(part)) {
    const copy = { ...photo, id: `${kind}-${photo.id}`, kind };
    if (kind === 'twoLabels') copy.name = labels[(labels.indexOf(photo.name) + 1) % labels.length];
    extra.push(copy);
    planted[kind].push([place(photo), place(copy)].sort().join('|'));
  }
const strange = await photoFolder(64);
for (let i = 0; i < Math.round(0.02 * photos.length); i++) {
  const photo = {
    file: join(strange, `${i % 64}.jpg`),
    name: labels[random.int(labels.length)],
    id: `strange-${i}.jpg`,
  };
  extra.push(photo);
  planted.outlier.push(place(photo));
}
for (const { file, name, id, kind } of [...photos, ...extra]) {
  mkdirSync(join(folder, name), { recursive: true });
  const to = join(folder, name, id);
  if (kind !== 'smaller') copyFileSync(file, to);
  else {
    const { width } = await sharp(file).metadata();
    await sharp(file)
      .rotate()
      .resize(Math.round(0.7 * width))
      .jpeg({ quality: 60 })
      .toFile(to);
  }
}

const images = await auditedFolder(folder);
const model = await openModel('tf_efficientnet_lite0.in1k');
const start = performance.now();
const report = await audit(images, model);
const seconds = (performance.now() - start) / 1000;
const idOf = (at) => report.images.paths[at].slice(folder.length + 1);
const classOf = (label) => report.images.classNames[label];
const pairsOf = (...kinds) =>
  report.findings
    .filter(({ kind }) => kinds.includes(kind))
    .map(({ images }) => images.map(idOf).sort().join('|'));
const of = (kind, id) => report.findings.filter((finding) => finding.kind === kind).map(id);
// A copy in another class is no fault of who calls its label wrong, nor its original's.
const neutral = new Set(planted.twoLabels.flatMap((pair) => pair.split('|')).concat(planted.outlier));
const rows = [];
function row(what, who, answers, truth, ignored = new Set()) {
  const [given, wanted] = [new Set(answers.filter((id) => !ignored.has(id))), new Set(truth)];
  const right = [...given].filter((id) => wanted.has(id)).length;
  rows.push({
    what,
    who,
    found: given.size,
    planted: wanted.size,
    precision: given.size ? (right / given.size).toFixed(2) : '–',
    recall: (right / wanted.size).toFixed(2),
  });
}
const copies = [...planted.copy, ...planted.twoLabels];
const bytes = report.findings.filter(
  ({ kind, score }) => (kind === 'exact-duplicate' || kind === 'two-labels') && score === 1,
);
row(
  'copies by bytes',
  'conquer',
  bytes.map(({ images }) => images.map(idOf).sort().join('|')),
  copies,
);
row('smaller copies', 'conquer', pairsOf('near-duplicate'), planted.smaller);
row('copies in two classes', 'conquer', pairsOf('two-labels'), planted.twoLabels);
row(
  'wrong labels',
  'conquer',
  of('wrong-label', ({ images: [at] }) => idOf(at)),
  planted.wrong,
  neutral,
);
row(
  'outliers',
  'conquer',
  of('outlier', ({ images: [at] }) => idOf(at)),
  planted.outlier,
);
row(
  'classes that are one',
  'conquer',
  of('one-class', ({ classes }) => classes.map(classOf).sort().join('|')),
  planted.one,
);
row(
  'classes that are two',
  'conquer',
  of('two-classes', ({ classes: [label] }) => classOf(label)),
  planted.two,
);

if (process.env.PYTHON) {
  const embedded = await model.embed(report.images.paths);
  writeFileSync(join(folder, 'rows.f32'), embedded);
  writeFileSync(
    join(folder, 'images.json'),
    JSON.stringify({ paths: report.images.paths, labels: [...report.images.labels] }),
  );
  const script = join(dirname(new URL(import.meta.url).pathname), 'peers', 'audit.py');
  const answers = JSON.parse(
    execFileSync(process.env.PYTHON, [script, folder], {
      maxBuffer: 2 ** 28,
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, TQDM_DISABLE: '1' },
    }),
  );
  const pairs = (list) => list.map((pair) => pair.map(idOf).sort().join('|'));
  row('copies by bytes', 'cleanvision', pairs(answers.exact), copies);
  row('smaller copies', 'cleanvision', pairs(answers.near), planted.smaller, new Set(copies));
  row('smaller copies', 'cleanlab', pairs(answers.nearRows), planted.smaller, new Set(copies));
  row('wrong labels', 'cleanlab', answers.wrong.map(idOf), planted.wrong, neutral);
  row('outliers', 'cleanlab', answers.outliers.map(idOf), planted.outlier);
}
console.table(rows.sort((a, b) => a.what.localeCompare(b.what)));
console.log(
  `${report.images.paths.length} images of ${report.images.classNames.length} classes, ${seconds.toFixed(1)} s; shortcuts ${JSON.stringify(report.shortcuts)}`,
);
model.close();
rmSync(folder, { recursive: true });
