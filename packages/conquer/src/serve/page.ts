import { createHash } from 'node:crypto';

// A page to drop a photograph on: what is most like it, whether that is enough, and on demand which parts make it so. One file, without
// anything from elsewhere.

const SCRIPT = `
const $ = (id) => document.getElementById(id);
const token = () => $('token').value.trim();
const ask = async (path, body) => {
  const response = await fetch(path, { method: 'POST', body, headers: token() ? { Authorization: 'Bearer ' + token() } : {} });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
};
const percent = (share) => Number((100 * share).toPrecision(3)) + ' %';
const cell = (text, name) => { const td = document.createElement('td'); td.textContent = text; if (name) td.className = name; return td; };
let dropped = null;
function draw(explanation) {
  const canvas = $('map'), image = $('image'), { parts, seen } = explanation;
  canvas.width = image.clientWidth; canvas.height = image.clientHeight;
  const context = canvas.getContext('2d');
  const most = Math.max(1e-6, ...parts.flat().map(Math.abs));
  const [w, h] = [seen.width * canvas.width / parts[0].length, seen.height * canvas.height / parts.length];
  parts.forEach((row, y) => row.forEach((value, x) => {
    context.fillStyle = value >= 0 ? 'rgba(255,140,0,' + 0.75 * value / most + ')' : 'rgba(0,110,255,' + -0.75 * value / most + ')';
    context.fillRect(seen.left * canvas.width + x * w, seen.top * canvas.height + y * h, w + 0.5, h + 0.5);
  }));
}
async function search() {
  if (!dropped) return;
  $('status').textContent = 'searching …';
  $('matches').replaceChildren();
  $('verdict').textContent = $('class').textContent = '';
  $('map').width = $('map').width;
  const body = new FormData();
  body.append('image', dropped);
  try {
    const query = new URLSearchParams({ top: $('top').value, explain: $('explain').checked, classify: true });
    if ($('rate').value) query.set('maxFalseMatch', $('rate').value);
    const { matches: [found], accepted, threshold, classes: [{ label, confidence }] } = await ask('search?' + query, body);
    $('status').textContent = '';
    if (accepted) {
      const by = ' at a false-match rate of ' + percent(threshold.rate) + ' (alike from ' + threshold.similarity.toFixed(3) + ' on)';
      $('verdict').textContent = (accepted[0] ? 'accepted: ' + found[0].id + ', probability ' + percent(found[0].probability) : 'no match') + by;
      $('verdict').className = accepted[0] ? 'yes' : 'no';
    } else if (!found.length) $('status').textContent = 'no match';
    if (label !== null) $('class').textContent = 'class ' + label + ', by ' + percent(confidence) + ' of its neighbours’ votes';
    if (found[0] && found[0].explanation) draw(found[0].explanation);
    for (const match of found) {
      const row = document.createElement('tr');
      row.append(cell(match.similarity.toFixed(3), 'number'), cell(match.probability === undefined ? '' : percent(match.probability), 'number'), cell(match.labels.join(', ')), cell(match.id));
      if (match.explanation) row.onclick = () => draw(match.explanation);
      $('matches').append(row);
    }
  } catch (error) { $('status').textContent = error.message; }
}
function take(file) {
  if (!file) return;
  dropped = file;
  const image = $('image');
  image.onload = search;
  image.onerror = search;
  image.src = URL.createObjectURL(file);
  $('drop').classList.add('full');
}
$('file').onchange = (event) => take(event.target.files[0]);
$('drop').ondragover = (event) => event.preventDefault();
$('drop').ondrop = (event) => { event.preventDefault(); take(event.dataTransfer.files[0]); };
$('explain').onchange = search;
$('top').onchange = search;
$('rate').onchange = search;
$('token').value = sessionStorage.getItem('token') || '';
$('token').onchange = () => { sessionStorage.setItem('token', token()); search(); };
fetch('health').then((response) => response.json()).then(({ model, index, calibration }) => {
  for (const rate of calibration ? calibration.rates : []) $('rate').append(new Option(percent(rate), rate));
  $('rates').hidden = !calibration;
  $('about').textContent = (index ? index.items + ' items of ' + index.path + ', ' : '') + model;
});
`;

const STYLE = `
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #1b1b1b; background: #fff; }
h1 { font-size: 1.2rem; margin: 0; } #about { color: #666; margin: 0 0 1rem; }
main { display: grid; grid-template-columns: minmax(16rem, 1fr) 1.2fr; gap: 1.5rem; }
#drop { position: relative; display: grid; place-items: center; min-height: 16rem; border: 2px dashed #bbb; border-radius: 8px; cursor: pointer; overflow: hidden; }
#drop.full { border-style: solid; } #drop.full span { display: none; } #drop input { position: absolute; inset: 0; opacity: 0; cursor: pointer; }
#frame { position: relative; } #image { min-width: 12rem; max-width: 100%; display: block; } #map { position: absolute; inset: 0; }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; padding: .25rem .6rem .25rem 0; border-bottom: 1px solid #eee; }
.number { font-variant-numeric: tabular-nums; } label { margin-right: 1rem; } input[type=number] { width: 4rem; }
#status { color: #a33; } #verdict { font-weight: 600; } .yes { color: #14702c; } .no { color: #a33; }
#verdict, #class, #status { margin: 0 0 .5rem; }
@media (prefers-color-scheme: dark) { body { background: #16181b; color: #e6e6e6; } td, th { border-color: #333; } #about { color: #999; } .yes { color: #6fce87; } #status, .no { color: #f08a8a; } }
@media (max-width: 40rem) { main { grid-template-columns: 1fr; } }
`;

const HTML = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>conquer</title>
<style>${STYLE}</style>
<header>
<h1>conquer</h1>
<p id="about"></p>
<p><label>matches <input id="top" type="number" min="1" max="100" value="10"></label>
<label id="rates" hidden>false matches <select id="rate"><option value="">show all</option></select></label>
<label><input id="explain" type="checkbox"> show what makes them alike</label>
<label>token <input id="token" type="password" autocomplete="off"></label></p>
</header>
<main>
<div id="drop"><span>drop a photograph here, or choose one</span><div id="frame"><img id="image" alt=""><canvas id="map"></canvas></div><input id="file" type="file" accept="image/*" aria-label="photograph"></div>
<div><p id="verdict" role="status"></p><p id="class"></p><p id="status" role="alert"></p><table><thead><tr><th>alike</th><th>probability</th><th>class</th><th>item</th></tr></thead><tbody id="matches"></tbody></table></div>
</main>
<script>${SCRIPT}</script>
</html>
`;

const hashOf = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

export const PAGE = {
  html: HTML,
  /** What it may do: run its own script, and talk to this service. */
  policy: {
    defaultSrc: ["'none'"],
    scriptSrc: [hashOf(SCRIPT)],
    styleSrc: [hashOf(STYLE)],
    imgSrc: ['blob:'],
    connectSrc: ["'self'"],
    baseUri: ["'none'"],
    formAction: ["'none'"],
    frameAncestors: ["'none'"],
  },
};
