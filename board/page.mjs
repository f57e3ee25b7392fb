// docs/board.md of the cells' results.
import { sets } from './data.mjs';
import { mean, paired, standardError } from './statistics.mjs';
import { less, today, variants } from './variants.mjs';

const BUDGETS = [1, 5, 30];
/** Cores held by other work, from which on seconds say little. */
const CROWDED = 0.5;

const percent = (value) => (100 * value).toFixed(1);
const signed = (value) => `${value < 0 ? '' : '+'}${(100 * value).toFixed(2)}`;
const spread = (values) => {
  if (values.length === 0) return '–';
  const error = standardError(values);
  return `${percent(mean(values))}${error === null ? '' : ` ± ${percent(error)}`}`;
};
const gain = (found) => {
  if (found === null) return '–';
  const { difference, error, p } = found;
  return `${signed(difference)}${error === null ? '' : ` ± ${(100 * error).toFixed(2)}`}${p === null ? '' : ` (p ${p < 0.001 ? '< 0.001' : p.toFixed(3)})`}`;
};
const table = (header, lines) => [
  `| ${header.join(' | ')} |`,
  `|${header.map((_, at) => (at === 0 ? ' --- |' : ' ---: |')).join('')}`,
  ...lines.map((cells) => `| ${cells.join(' | ')} |`),
  '',
];

/** Results by seed of the cells whose id is `path/seed`. */
function bySeed(done, path) {
  return new Map(
    [...done].flatMap(([id, result]) =>
      id.startsWith(`${path}/`) && !id.slice(path.length + 1).includes('/')
        ? [[result.cell.seed, result]]
        : [],
    ),
  );
}
const pick = (results, of) => new Map([...results].map(([seed, result]) => [seed, of(result)]));
const mapAtR = (results) => pick(results, ({ scores }) => scores['MAP@R']);

/** Seconds, and a mark where other work took cores. */
function secondsOf(results) {
  const all = [...results.values()];
  if (all.length === 0) return '–';
  const crowded = all.some(({ others }) => others > CROWDED);
  return `${mean(all.map(({ seconds }) => seconds)).toFixed(0)}${crowded ? ' (crowded)' : ''}`;
}

/** A row for each variant of a set: how it did, and beside one learner and four, paired by seed. */
function variantRows(done, path, names) {
  const [one, four] = ['one', 'four'].map((name) => mapAtR(bySeed(done, `${path}/${name}`)));
  return Object.entries(names).flatMap(([name, { what, control }]) => {
    const results = bySeed(done, `${path}/${name}`);
    if (results.size === 0) return [];
    const own = mapAtR(results);
    const all = [...results.values()];
    const over = control ? mapAtR(bySeed(done, `${path}/${control}`)) : one;
    return [
      [
        what,
        all.length,
        spread(all.map(({ scores }) => scores['R@1'])),
        spread([...own.values()]),
        name === (control ?? 'one') ? '' : gain(paired(own, over)),
        name === 'four' || name === 'one' ? '' : gain(paired(own, four)),
        mean(all.map(({ steps }) => steps)).toFixed(0),
        secondsOf(results),
      ],
    ];
  });
}

const HEADER = ['', 'seeds', 'R@1', 'MAP@R', 'MAP@R above one learner', 'above 4', 'steps', 'seconds'];

function divisionSection(done, kind, title, about) {
  const names = [
    ...new Set([...done.values()].flatMap(({ cell }) => (cell.id.startsWith(`${kind}/`) ? [cell.set] : []))),
  ];
  const lines = [`## ${title}`, '', about, ''];
  if (names.length === 0) return [...lines, 'No cell was run yet.', ''];
  for (const set of names) {
    const rows = variantRows(done, `${kind}/${set}`, variants);
    if (rows.length === 0) continue;
    const frozen = [...done.values()].flatMap(({ cell, frozen }) =>
      cell.id.startsWith(`${kind}/${set}/one/`) && frozen ? [frozen] : [],
    );
    const sizes = [...done.values()].flatMap(({ cell, train }) =>
      cell.id.startsWith(`${kind}/${set}/`) && train ? [train] : [],
    );
    const of = (name) => mean(sizes.map((size) => size[name])).toFixed(0);
    const learns = sizes.length === 0 ? [] : [`${of('classes')} classes of ${of('images')} images train.`];
    const start =
      frozen.length === 0
        ? ''
        : `The frozen features: R@1 ${spread(frozen.map((scores) => scores['R@1']))}, MAP@R ${spread(frozen.map((scores) => scores['MAP@R']))}.`;
    const said = [...learns, ...(start ? [start] : [])].join(' ');
    lines.push(`### ${set}: ${sets[set].what}`, '', ...(said ? [said, ''] : []), ...table(HEADER, rows));
  }
  return [
    ...lines,
    ...startFaults(done, kind),
    verdict(done, kind, names),
    '',
    ...byClasses(done, kind, names),
  ];
}

/** What four learners bring, by how many classes train. */
function byClasses(done, kind, names) {
  const rows = names.flatMap((set) => {
    const sizes = [...done.values()].flatMap(({ cell, train }) =>
      cell.id.startsWith(`${kind}/${set}/`) && train ? [train.classes] : [],
    );
    const [one, four, sixteen] = ['one', 'four', 'sixteen'].map((name) =>
      mapAtR(bySeed(done, `${kind}/${set}/${name}`)),
    );
    const found = paired(four, one);
    if (sizes.length === 0 || found === null) return [];
    return [[mean(sizes), set, gain(found), gain(paired(sixteen, one))]];
  });
  if (rows.length < 2) return [];
  const sorted = rows.sort(([a], [b]) => a - b).map(([classes, ...cells]) => [classes.toFixed(0), ...cells]);
  return [
    'By how many classes train, of which a batch of 128 has 32 (of 32 images 8):',
    '',
    ...table(['classes', 'set', '4 learners above one, MAP@R', '16'], sorted),
  ];
}

/** Variants of a seed that did not begin alike: then what is shown is no difference of the variants. */
function startFaults(done, kind) {
  const firsts = new Map();
  for (const [id, { cell, curve }] of done) {
    if (!id.startsWith(`${kind}/`) || cell.variant.startsWith('adapters')) continue;
    const key = `${cell.set}, seed ${cell.seed}`;
    const first = curve.find(({ epoch, start }) => start ?? epoch === 0)?.['MAP@R'];
    firsts.set(key, (firsts.get(key) ?? new Set()).add(first));
  }
  const wrong = [...firsts].filter(([, values]) => values.size > 1).map(([key]) => key);
  return wrong.length === 0
    ? []
    : [`**Not of one start: ${wrong.join('; ')}.** These rows compare more than division.`, ''];
}

/** On how many sets four learners are above one by more than the standard error. */
function verdict(done, kind, names) {
  const told = names.flatMap((set) => {
    const found = paired(
      mapAtR(bySeed(done, `${kind}/${set}/four`)),
      mapAtR(bySeed(done, `${kind}/${set}/one`)),
    );
    return found && found.error !== null ? [{ set, ...found }] : [];
  });
  if (told.length === 0) return 'Four learners against one: no set has two seeds of both.';
  const which = (some) => (some.length === 0 ? 'none' : some.map(({ set }) => set).join(', '));
  const above = told.filter(({ difference, error }) => difference > error);
  const below = told.filter(({ difference, error }) => difference < -error);
  return `Four learners are above one by more than the standard error of the paired difference on ${which(above)}, below on ${which(below)}, of ${told.length} ${told.length === 1 ? 'set' : 'sets'}.`;
}

/** Parts of today: rows beside their control, and what is measured of trained cells in another way. */
function todaySection(done) {
  const names = [
    ...new Set([...done.values()].flatMap(({ cell }) => (cell.id.startsWith('kept/') ? [cell.set] : []))),
  ];
  const lines = [
    '## Division of today',
    '',
    'On kept features, from the same starts and as many steps. (a) Learners as heads on frozen features are the rows above. (b) Adapters, (c) distillation and (d) nested blocks are trained; "above one learner" is for (b) above the same head with one',
    'learner. (d) and (e), the mask chosen by the query, are measured of trained cells too: the prefixes beside those of one learner, the masked queries beside the same cell searched as it is, in an index that is the same.',
    '',
  ];
  for (const set of names) {
    const rows = variantRows(done, `kept/${set}`, today);
    const measured = extraRows(done, `kept/${set}`);
    if (rows.length + measured.length === 0) continue;
    lines.push(
      `### ${set}`,
      '',
      ...table(HEADER, rows),
      ...table(['measured of', '', 'MAP@R', 'above'], measured),
    );
  }
  if (names.length === 0) lines.push('No cell was run yet.', '');
  return lines;
}

function extraRows(done, path) {
  const of = (variant, name) =>
    new Map(
      [...bySeed(done, `${path}/${variant}`)].flatMap(([seed, { extras }]) =>
        extras?.[name] ? [[seed, extras[name]['MAP@R']]] : [],
      ),
    );
  const rows = [];
  const add = (variant, name, over) => {
    const values = of(variant, name);
    if (values.size > 0)
      rows.push([variantName(variant), name, spread([...values.values()]), gain(paired(values, over))]);
  };
  for (const variant of ['four', 'fixed', 'nested'])
    add(variant, 'mask by the query', mapAtR(bySeed(done, `${path}/${variant}`)));
  for (const share of [2, 4])
    for (const variant of ['nested', 'fixed']) {
      const name = `first 1/${share} of the dimensions`;
      add(variant, name, of('one', name));
    }
  return rows;
}
const variantName = (name) => (variants[name] ?? today[name]).what;

const SIDES = {
  conquer: 'conquer, the same setting',
  'conquer-averaged': 'conquer, the same setting, its weights averaged (`--ema-decay 0.999`)',
  pml: 'pytorch-metric-learning, best of its search',
  'pml-example': 'pytorch-metric-learning, its example',
  fit: "`conquer fit`, the photos' way through the network included",
};

/** The last look of a curve within so many seconds; null where it does not reach so far. */
export function within(curve, seconds) {
  if (curve.at(-1).seconds < 0.97 * seconds) return null;
  return curve.findLast((point) => point.seconds <= 1.03 * seconds) ?? null;
}

/** Seconds after which a curve has this MAP@R for the first time; null: never. */
export const secondsTo = (curve, quality, metric = 'MAP@R') =>
  curve.find((point) => point[metric] >= quality)?.seconds ?? null;

/** Less arithmetic: how soon each has what the whole network has at its end. */
function lessSection(done) {
  const lines = [
    '## Less arithmetic',
    '',
    'One learner; seconds are all that passed but evaluation, preparations included. The last two columns: after what share of its time each has the R@1 and the MAP@R that the whole network has at its end.',
    '',
  ];
  const header = ['', 'seeds', 'R@1', 'MAP@R', 'seconds', 'of the processor', 'to its R@1', 'to its MAP@R'];
  const tables = Object.entries({
    groceries: 'by the recipe `photos` at 96 pixels, 8 epochs',
    emoji: 'from random weights by the recipe `divide-emoji`',
  }).flatMap(([set, how]) => {
    const path = `less/${set}`;
    const whole = bySeed(done, `${path}/whole`);
    const rows = Object.entries(less).flatMap(([name, { what }]) => {
      const some = bySeed(done, `${path}/${name}`);
      if (some.size === 0) return [];
      const all = [...some.values()];
      return [
        [
          what,
          all.length,
          ...['R@1', 'MAP@R'].map((metric) => spread(all.map(({ scores }) => scores[metric]))),
          secondsOf(some),
          mean(all.map(({ processorSeconds }) => processorSeconds)).toFixed(0),
          ...['R@1', 'MAP@R'].map((metric) => (name === 'whole' ? '' : ratioOf(some, whole, metric))),
        ],
      ];
    });
    return rows.length === 0 ? [] : [`### ${set}, ${how}`, '', ...table(header, rows)];
  });
  return [...lines, ...(tables.length === 0 ? ['No cell was run yet.', ''] : tables)];
}

function timeSection(done) {
  const rows = [...new Set([...done.keys()].flatMap((id) => /^time\/[^/]+/.exec(id) ?? []))];
  const lines = [
    '## Time to quality',
    '',
    'R@1 / MAP@R of unseen classes after so many minutes of training (and of dividing; evaluation, and decoding images once, are not counted on either side), at a constant rate: one run of 30 minutes is read three times, other seeds have five minutes. Both sides begin from the same weights of the network and see the same images, reduced and',
    "kept in memory or on the disk. The peer's search tries six settings for a minute each on classes of the training half; conquer has none of its own and takes the best of them. The peer runs as it is fastest here: channels_last, freed memory kept. The last column: the mean over seeds of the seconds after which conquer has the MAP@R that the peer has at its end, over the peer's to it.",
    '',
  ];
  if (rows.length === 0) return [...lines, 'No cell was run yet.', ''];
  for (const row of rows) {
    const results = Object.keys(SIDES).map((side) => [side, bySeed(done, `${row}/${side}`)]);
    if (results.every(([, some]) => some.size === 0)) continue;
    const peer = bySeed(done, `${row}/pml`);
    const table_ = results.flatMap(([side, some]) => {
      if (some.size === 0) return [];
      const all = [...some.values()];
      const at = BUDGETS.map((minutes) => {
        const points = all.flatMap(({ curve }) => within(curve, 60 * minutes) ?? []);
        return points.length === 0
          ? '–'
          : `${spread(points.map((point) => point['R@1']))} / ${spread(points.map((point) => point['MAP@R']))}`;
      });
      const end = `${spread(all.map(({ scores }) => scores['R@1']))} / ${spread(all.map(({ scores }) => scores['MAP@R']))} after ${secondsOf(some)} s`;
      const memory = `${(Math.max(...all.map(({ memory: bytes }) => bytes)) / 2 ** 30).toFixed(1)}`;
      return [
        [SIDES[side], all.length, ...at, end, memory, side.startsWith('conquer') ? ratioOf(some, peer) : ''],
      ];
    });
    const header = [
      '',
      'seeds',
      ...BUDGETS.map((minutes) => `${minutes} min`),
      'at the end',
      'GiB',
      "time to the peer's",
    ];
    lines.push(`### ${row.slice('time/'.length)}`, '', ...table(header, table_));
  }
  return lines;
}

/** The mean over seeds of the seconds to the peer's last MAP@R, over the peer's to it. */
function ratioOf(ours, peer, metric = 'MAP@R') {
  const ratios = [...ours].flatMap(([seed, { curve }]) => {
    const theirs = peer.get(seed);
    if (!theirs) return [];
    const [taken, itself] = [curve, theirs.curve].map((each) =>
      secondsTo(each, theirs.scores[metric], metric),
    );
    return [taken === null ? null : taken / (itself ?? theirs.seconds)];
  });
  if (ratios.length === 0) return '–';
  return ratios.includes(null)
    ? `not reached by ${ratios.filter((ratio) => ratio === null).length} of ${ratios.length}`
    : `${mean(ratios).toFixed(2)} of its time`;
}

/** Cells without a result, a line for each group, with their seeds or settings. */
function missing(cells, done, failures) {
  const groups = new Map();
  for (const { id, minutesAbout } of cells) {
    if (done.has(id)) continue;
    const [group, last] = [id.slice(0, id.lastIndexOf('/')), id.slice(id.lastIndexOf('/') + 1)];
    const known = groups.get(group) ?? { names: [], minutes: 0 };
    known.names.push(failures.has(id) ? `${last} (failed: ${failures.get(id)})` : last);
    known.minutes += minutesAbout;
    groups.set(group, known);
  }
  const hours = [...groups.values()].reduce((sum, { minutes }) => sum + minutes, 0) / 60;
  const count = cells.length - cells.filter(({ id }) => done.has(id)).length;
  if (count === 0) return ['All cells of the plan were run.', ''];
  return [
    `${count} of ${cells.length} cells, about ${hours < 1 ? hours.toFixed(1) : hours.toFixed(0)} hours on two cores:`,
    '',
    ...[...groups].map(([group, { names }]) => `- \`${group}\`: ${names.join(', ')}`),
    '',
  ];
}

/** @param cells of the plan; @param results by id, `{ failed }`, in words, of a cell that has none */
export function page(cells, results) {
  const found = cells.flatMap(({ id }) => (results.has(id) ? [[id, results.get(id)]] : []));
  const done = new Map(found.filter(([, { failed }]) => failed === undefined));
  const failures = new Map(found.flatMap(([id, { failed }]) => (failed === undefined ? [] : [[id, failed]])));
  const machines = [
    ...new Set([...done.values()].map(({ machine: { cpu, cores } }) => `${cpu}, ${cores} cores`)),
  ];
  const dates = [...new Set([...done.values()].map(({ machine: { date } }) => date))].sort();
  return `${[
    '# Board',
    '',
    'Written by `npm run board` from the results of its cells (board/results.jsonl); do not edit. Each cell is a training from one seed, which draws the classes (half of them train, the others test) and all that is drawn in training; ± is the standard error of the mean over seeds, p that of a paired t test over seeds. In per cent.',
    'Rows that do not help stay.',
    '',
    '![For each set, what several learners have above one in MAP@R, with the standard error; and MAP@R against minutes of training beside pytorch-metric-learning](images/board.svg)',
    '',
    `Machine: ${machines.join('; ') || 'none yet'}${dates.length > 0 ? ` (${dates.length > 1 ? `${dates[0]} to ${dates.at(-1)}` : dates[0]})` : ''}. Seconds are wall-clock, of two threads; "crowded" where other work held more than half a core on average, so that they say little. Peak memory is of the whole process.`,
    '',
    '```',
    'npm run board -- --list                   # what there is to run, and about how long it takes',
    "PYTHON=… npm run board -- --cells '^kept/groceries' --again --minutes 60",
    '```',
    '',
    'PYTHON has pytorch-metric-learning 2.9, torch 2.13, torchvision and timm. A cell that was killed goes on, or begins anew; data are brought once, from:',
    '',
    ...Object.entries(sets).flatMap(([name, { what, from }]) =>
      name === 'miniature' ? [] : [`- \`${name}\`: ${what}; ${from}`],
    ),
    '',
    ...divisionSection(
      done,
      'kept',
      'Division on kept features',
      'One linear layer of 512 dimensions on the frozen EfficientNet-Lite0 that comes with the program, multi-similarity loss, as `conquer fit` has it. One learner trains 400 steps; from there each variant goes on to 1,000, redivided each 100. The start of a seed is the same in all variants, bit for bit (the page says where it is not).',
    ),
    ...todaySection(done),
    ...divisionSection(
      done,
      'network',
      'Division of the network',
      'Emoji from random weights by the recipe `divide-emoji` (20 epochs of one learner, 8 divided), all learners at once; groceries by the recipe `photos` at 96 pixels (6 epochs and 6).',
    ),
    ...lessSection(done),
    ...timeSection(done),
    "The authors' own code is not among the peers: its training calls `.cuda()` and asks for the properties of a card (train.py, 2021), its networks are ResNet-50 and BN-Inception alone, and its data sets are those that cannot be had without signing. What its parts compute is held by goldens ([migrating.md](migrating.md)).",
    '',
    '## Cells not run',
    '',
    ...missing(cells, done, failures),
  ]
    .join('\n')
    .trimEnd()}\n`;
}
