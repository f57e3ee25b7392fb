/** Plots side by side as an SVG, both axes logarithmic; it reads on light and on dark, as the page's scheme says. */

const [WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM] = [400, 300, 56, 28, 12, 78];
const COLOURS = ['#2a6fdb', '#c2571a', '#178a5b', '#9a4fc4', '#b3871b', '#c2395f'];

/**
 * @param title of all, for readers of screens
 * @param panels { title, x, y, series: { name, points: { x, y }[] }[] }[], x and y being the axes' words
 */
export function logPlots(title, panels) {
  const body = panels.map((panel, i) => `<g transform="translate(${i * WIDTH} 0)">\n${drawn(panel)}\n</g>`);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH * panels.length} ${HEIGHT}" font-family="sans-serif" font-size="11" role="img">
<title>${title}</title>
<style>
.page { fill: #fff } text { fill: #24292f } .grid { stroke: #d0d7de }
@media (prefers-color-scheme: dark) { .page { fill: #0d1117 } text { fill: #d7dde4 } .grid { stroke: #30363d } }
</style>
<rect class="page" width="100%" height="100%"/>
${body.join('\n')}
</svg>
`;
}

function drawn({ title, x, y, series }) {
  const all = series.flatMap(({ points }) => points);
  const across = scale(
    all.map((point) => point.x),
    LEFT,
    WIDTH - RIGHT,
  );
  const up = scale(
    all.map((point) => point.y),
    HEIGHT - BOTTOM,
    TOP,
  );
  const text = (at, anchor, words, more = '') =>
    `<text x="${at[0].toFixed(1)}" y="${at[1].toFixed(1)}" text-anchor="${anchor}"${more}>${words}</text>`;
  const line = (from, to) =>
    `<line class="grid" x1="${from[0].toFixed(1)}" y1="${from[1].toFixed(1)}" x2="${to[0].toFixed(1)}" y2="${to[1].toFixed(1)}"/>`;
  const middle = (TOP + HEIGHT - BOTTOM) / 2;
  return [
    text([LEFT, 16], 'start', title, ' font-weight="bold"'),
    ...across.ticks.flatMap((tick) => [
      line([across.at(tick), TOP], [across.at(tick), HEIGHT - BOTTOM]),
      text([across.at(tick), HEIGHT - BOTTOM + 15], 'middle', short(tick)),
    ]),
    ...up.ticks.flatMap((tick) => [
      line([LEFT, up.at(tick)], [WIDTH - RIGHT, up.at(tick)]),
      text([LEFT - 5, up.at(tick) + 4], 'end', short(tick)),
    ]),
    text([(LEFT + WIDTH - RIGHT) / 2, HEIGHT - BOTTOM + 30], 'middle', x),
    text([14, middle], 'middle', y, ` transform="rotate(-90 14 ${middle})"`),
    ...series.flatMap(({ name, points }, i) => {
      const colour = COLOURS[i % COLOURS.length];
      const places = points.map((point) => [across.at(point.x), up.at(point.y)]);
      const legend = [LEFT + (i % 3) * 108, HEIGHT - 22 + 14 * Math.floor(i / 3)];
      return [
        `<polyline points="${places.map((at) => at.map((each) => each.toFixed(1)).join(',')).join(' ')}" fill="none" stroke="${colour}" stroke-width="2"/>`,
        ...places.map(
          (at) => `<circle cx="${at[0].toFixed(1)}" cy="${at[1].toFixed(1)}" r="3" fill="${colour}"/>`,
        ),
        `<circle cx="${legend[0]}" cy="${legend[1] - 4}" r="4" fill="${colour}"/>`,
        text([legend[0] + 8, legend[1]], 'start', name),
      ];
    }),
  ].join('\n');
}

/** From the power of ten below the least to the one above the most. */
function scale(values, from, to) {
  const low = Math.floor(Math.log10(Math.min(...values)));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...values))));
  return {
    ticks: Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i)),
    at: (value) => from + ((Math.log10(value) - low) / (high - low)) * (to - from),
  };
}

const short = (value) =>
  value >= 1e6
    ? `${value / 1e6} M`
    : value >= 1000
      ? `${value / 1000} k`
      : String(Number(value.toPrecision(1)));
