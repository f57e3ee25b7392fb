// docs/images/board.svg: what division brings on each set, and quality against time. It reads on light and on dark, as the page's scheme says.
import { mean, paired } from './statistics.mjs';
import { variants } from './variants.mjs';

const [WIDTH, ROW, LABELS, PANEL, GAP, TOP] = [860, 17, 190, 400, 56, 44];
const CURVE_HEIGHT = 150;
const COLOURS = { kept: '#2a6fdb', network: '#c2571a' };
const SIDES = {
  'conquer-averaged': ['#2a6fdb', 'conquer, its weights averaged'],
  conquer: ['#3b9c8f', 'conquer'],
  pml: ['#c2571a', 'pytorch-metric-learning'],
  'pml-example': ['#9a4fc4', 'its example'],
};
const SHOWN = ['two', 'four', 'eight', 'sixteen', 'fixed', 'unmasked', 'classes', 'once'];
const KINDS = { kept: 'kept features', network: 'the network' };

const text = (x, y, words, { anchor = 'start', more = '' } = {}) =>
  `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}"${more}>${words}</text>`;
const line = (x1, y1, x2, y2, as = 'class="grid"') =>
  `<line x1="${x1.toFixed(1)}" y1="${y1.toFixed(1)}" x2="${x2.toFixed(1)}" y2="${y2.toFixed(1)}" ${as}/>`;
const bold = { more: ' font-weight="bold"' };

/** Linear, with some four round ticks. */
function scale(least, most, from, to) {
  const step = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20].find((size) => (most - least) / size <= 6) ?? 50;
  const [low, high] = [Math.floor(least / step) * step, Math.ceil(most / step) * step];
  const count = Math.round((high - low) / step);
  return {
    ticks: Array.from({ length: count + 1 }, (_, i) => Number((low + i * step).toFixed(3))),
    at: (value) => from + ((value - low) / (high - low || 1)) * (to - from),
  };
}

/** Results of `path/seed`, as a value of each by seed. */
function valuesOf(done, path, of) {
  return new Map(
    [...done].flatMap(([id, result]) =>
      id.slice(0, id.lastIndexOf('/')) === path ? [[result.cell.seed, of(result)]] : [],
    ),
  );
}

/** What variants of a set have above one learner, in points of MAP@R; only of two seeds or more. */
function gainsOf(done, path) {
  const score = ({ scores }) => 100 * scores['MAP@R'];
  const one = valuesOf(done, `${path}/one`, score);
  return SHOWN.flatMap((name) => {
    const found = paired(valuesOf(done, `${path}/${name}`, score), one);
    return found === null || found.error === null ? [] : [{ what: variants[name].what, ...found }];
  });
}

function divisionPanel(done) {
  const groups = [...new Set([...done.keys()].map((id) => id.split('/').slice(0, 2).join('/')))].flatMap(
    (path) => {
      const [kind, set] = path.split('/');
      if (!(kind in KINDS)) return [];
      const rows = gainsOf(done, path);
      const sizes = [...done].flatMap(([id, { train }]) =>
        id.startsWith(`${path}/`) && train ? [train.classes] : [],
      );
      const classes = sizes.length === 0 ? null : Math.round(mean(sizes));
      return rows.length === 0 ? [] : [{ kind, set, rows, classes }];
    },
  );
  // Most classes first; the network itself behind.
  groups.sort((a, b) => (a.kind === b.kind ? (b.classes ?? 0) - (a.classes ?? 0) : a.kind < b.kind ? -1 : 1));
  if (groups.length === 0) return { height: 0, drawn: [] };
  const ends = groups.flatMap(({ rows }) =>
    rows.flatMap(({ difference, error }) => [difference - error, difference + error]),
  );
  const across = scale(Math.min(0, ...ends), Math.max(0, ...ends), LABELS, PANEL);
  const drawn = [text(8, 20, 'Division: MAP@R above one learner, in points', bold)];
  let y = TOP;
  for (const { kind, set, rows, classes } of groups) {
    const trained = classes === null ? '' : `, ${classes} classes`;
    drawn.push(text(8, y, `${set}, ${KINDS[kind]}${trained}`, bold));
    for (const { what, difference, error } of rows) {
      y += ROW;
      const [x, low, high] = [difference, difference - error, difference + error].map(across.at);
      drawn.push(
        text(LABELS - 8, y, short(what), { anchor: 'end' }),
        line(low, y - 4, high, y - 4, `stroke="${COLOURS[kind]}" stroke-width="2"`),
        `<circle cx="${x.toFixed(1)}" cy="${(y - 4).toFixed(1)}" r="3.5" fill="${COLOURS[kind]}"/>`,
      );
    }
    y += ROW + 8;
  }
  const grid = across.ticks.map((tick) =>
    line(across.at(tick), TOP - 12, across.at(tick), y - ROW, tick === 0 ? 'class="zero"' : undefined),
  );
  const ticks = across.ticks.map((tick) => text(across.at(tick), y, signed(tick), { anchor: 'middle' }));
  return { height: y + 24, drawn: [...grid, ...drawn, ...ticks] };
}

const signed = (value) => (value > 0 ? `+${value}` : `${value}`).replace('-', '−');
const short = (what) =>
  what
    .replace('4 learners, learned masks, by images, redivided', '4 learners')
    .replace(/^4, /, '4 learners, ');

/** The mean over seeds of MAP@R at times that all have been looked at. */
function meanCurve(results) {
  const curves = [...results.values()];
  const last = Math.min(...curves.map((curve) => curve.at(-1).seconds));
  return curves[0]
    .filter(({ seconds }) => seconds <= last)
    .map(({ seconds }) => ({
      minutes: seconds / 60,
      score: mean(
        curves.map((curve) => 100 * curve.findLast((point) => point.seconds <= seconds + 1e-6)['MAP@R']),
      ),
    }));
}

function timePanels(done) {
  const rows = [...new Set([...done.keys()].flatMap((id) => /^time\/[^/]+/.exec(id) ?? []))].flatMap(
    (row) => {
      const series = Object.keys(SIDES).flatMap((side) => {
        const results = valuesOf(done, `${row}/${side}`, ({ curve }) => curve);
        return results.size === 0 ? [] : [{ side, seeds: results.size, points: meanCurve(results) }];
      });
      return series.length < 2 ? [] : [{ row, series }];
    },
  );
  const left = PANEL + GAP;
  return rows.map(({ row, series }, i) => {
    const top = TOP + i * (CURVE_HEIGHT + 60);
    const points = series.flatMap((each) => each.points);
    const across = scale(0, Math.max(...points.map(({ minutes }) => minutes)), left, WIDTH - 12);
    const up = scale(
      Math.min(...points.map(({ score }) => score)),
      Math.max(...points.map(({ score }) => score)),
      top + CURVE_HEIGHT,
      top,
    );
    const legend = series.map(({ side, seeds }, at) => {
      const [colour, name] = SIDES[side];
      const x = left + at * 130;
      return `<circle cx="${x + 4}" cy="${top + CURVE_HEIGHT + 34}" r="4" fill="${colour}"/>${text(x + 12, top + CURVE_HEIGHT + 38, `${name} (${seeds})`)}`;
    });
    return {
      height: top + CURVE_HEIGHT + 60,
      drawn: [
        text(
          left,
          top - 24,
          `${row.slice('time/'.length).replace('-', ', ')}: MAP@R by minutes of training`,
          bold,
        ),
        ...across.ticks.flatMap((tick) => [
          line(across.at(tick), top, across.at(tick), top + CURVE_HEIGHT),
          text(across.at(tick), top + CURVE_HEIGHT + 15, String(tick), { anchor: 'middle' }),
        ]),
        ...up.ticks.flatMap((tick) => [
          line(left, up.at(tick), WIDTH - 12, up.at(tick)),
          text(left - 5, up.at(tick) + 4, String(tick), { anchor: 'end' }),
        ]),
        ...series.map(
          ({ side, points: own }) =>
            `<polyline points="${own.map(({ minutes, score }) => `${across.at(minutes).toFixed(1)},${up.at(score).toFixed(1)}`).join(' ')}" fill="none" stroke="${SIDES[side][0]}" stroke-width="2"/>`,
        ),
        ...legend,
      ],
    };
  });
}

/**
 * @param done results by the ids of their cells
 * @returns an SVG; null where no cell has been run twice
 */
export function figure(done) {
  const panels = [divisionPanel(done), ...timePanels(done)].filter(({ height }) => height > 0);
  if (panels.length === 0) return null;
  const height = Math.max(...panels.map((panel) => panel.height));
  const width = panels.length > 1 ? WIDTH : PANEL + 24;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="11" role="img">
<title>What division brings on each set of the board, and quality against time</title>
<style>
.page { fill: #fff } text { fill: #24292f } .grid { stroke: #d0d7de } .zero { stroke: #57606a }
@media (prefers-color-scheme: dark) { .page { fill: #0d1117 } text { fill: #d7dde4 } .grid { stroke: #30363d } .zero { stroke: #9aa4af } }
</style>
<rect class="page" width="100%" height="100%"/>
${panels.flatMap(({ drawn }) => drawn).join('\n')}
</svg>
`;
}
