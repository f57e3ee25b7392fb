import type { AuditReport } from './audit.js';
import { type Finding, findingKinds } from './finding.js';

/** Findings of a kind that the page shows. */
const SHOWN = 100;

export interface AuditPageOptions {
  nameOf(place: number): string;
  classOf(label: number | undefined): string;
  /** Images that are marked to begin with. */
  marked: ReadonlySet<number>;
  thumbnail(path: string): Promise<Uint8Array | null>;
}

// What is marked is kept by the browser, for this page alone, and saved as a CSV file of paths.
const SCRIPT = `
const boxes = () => [...document.querySelectorAll('input[data-path]')];
const key = 'conquer-audit ' + document.body.dataset.audit;
let marks = new Set(JSON.parse(localStorage.getItem(key) || document.getElementById('marked').textContent));
const cell = (text) => /[",\\r\\n]|^\\s|\\s$/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
function show() {
  for (const box of boxes()) { box.checked = marks.has(box.dataset.path); box.closest('figure').classList.toggle('marked', box.checked); }
  document.getElementById('count').textContent = marks.size + (marks.size === 1 ? ' image marked' : ' images marked');
}
// Not when the page opens: what it was told a moment ago may not have reached the browser's storage yet, and would be lost for good.
function change() { show(); localStorage.setItem(key, JSON.stringify([...marks])); }
document.addEventListener('change', ({ target }) => {
  if (!target.dataset.path) return;
  if (target.checked) marks.add(target.dataset.path); else marks.delete(target.dataset.path);
  change();
});
document.getElementById('none').onclick = () => { marks = new Set(); change(); };
document.getElementById('save').onclick = () => {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob(['path\\n', ...[...marks].map((path) => cell(path) + '\\n')], { type: 'text/csv' }));
  link.download = 'exclude.csv';
  link.click();
  URL.revokeObjectURL(link.href);
};
show();
`;

const STYLE = `
body { font: 15px/1.45 system-ui, sans-serif; margin: 0 auto; max-width: 70rem; padding: 0 1rem 3rem; color: #1b1b1b; background: #fff; }
header { position: sticky; top: 0; background: inherit; padding: .75rem 0; border-bottom: 1px solid #ccc; z-index: 1; }
h1 { font-size: 1.2rem; display: inline; margin-right: 1rem; } h2 { font-size: 1.05rem; margin: 2rem 0 .25rem; } p { margin: .25rem 0; }
article { display: flex; flex-wrap: wrap; gap: .5rem; padding: .5rem 0; border-bottom: 1px solid #eee; align-items: start; }
article > div { width: 15rem; } figure { margin: 0; width: 7rem; font-size: .75rem; overflow-wrap: anywhere; }
figure img, figure .none { width: 6rem; height: 6rem; object-fit: contain; background: #eee; display: block; }
figure.marked img { outline: 3px solid #c33; } .score { opacity: .75; font-variant-numeric: tabular-nums; } button { margin-left: .5rem; }
@media (prefers-color-scheme: dark) { body { background: #16181b; color: #e6e6e6; } article { border-color: #333; } }
`;

/** A page of one file, without anything from elsewhere. */
export async function auditPage(report: AuditReport, options: AuditPageOptions): Promise<string> {
  const { images, findings, shortcuts } = report;
  const { nameOf, classOf, marked } = options;
  const pictures = new Map<number, string>();
  const shown = findingKinds.map(({ kind, help }) => {
    const all = findings.filter((finding) => finding.kind === kind);
    return { kind, help, all, some: all.slice(0, SHOWN) };
  });
  for (const place of new Set(shown.flatMap(({ some }) => some.flatMap((finding) => finding.images)))) {
    const bytes = await options.thumbnail(images.paths[place]!);
    if (bytes) pictures.set(place, `data:image/webp;base64,${Buffer.from(bytes).toString('base64')}`);
  }
  const figure = (place: number) => {
    const picture = pictures.get(place);
    const name = html(nameOf(place));
    const part = images.splits ? `, ${html(images.splits[place]!)}` : '';
    return `<figure>${picture ? `<img loading="lazy" src="${picture}" alt="">` : '<div class="none"></div>'}<label><input type="checkbox" data-path="${name}"> ${name}<br><b>${html(classOf(images.labels[place]))}</b>${part}</label></figure>`;
  };
  const row = (finding: Finding) =>
    `<article><div>${html(saidOf(finding, classOf))}<br><span class="score">${finding.score.toFixed(3)}</span></div>${finding.images.map(figure).join('')}</article>`;
  const sections = shown
    .filter(({ all }) => all.length > 0)
    .map(
      ({ kind, help, all, some }) =>
        `<section><h2>${kind}: ${all.length}</h2><p>${html(help)}${some.length < all.length ? `; the first ${some.length} are shown, findings.csv lists all` : ''}</p>${some.map(row).join('')}</section>`,
    );
  const list = JSON.stringify([...marked].map(nameOf)).replaceAll('<', '\\u003c');
  const per = (share: number) => `${(100 * share).toFixed(1)} %`;
  const found = shortcuts
    ? `<p>The class is found, each of ${shortcuts.images} images by the others: by the whole image ${per(shortcuts.whole)}, by its border alone ${per(shortcuts.border)}, by its size in pixels alone ${per(shortcuts.size)}; by always naming the largest class ${per(shortcuts.chance)}.</p>`
    : '';
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>conquer audit</title>
<style>${STYLE}</style>
<body data-audit="${html(images.folder ?? '')}">
<header><h1>${images.paths.length} images, ${findings.length} findings</h1><span id="count"></span><button id="save">save exclude.csv</button><button id="none">mark none</button></header>
<main>
${found}
${sections.join('\n') || '<p>Nothing was found.</p>'}
</main>
<script type="application/json" id="marked">${list}</script>
<script>${SCRIPT}</script>
</body>
</html>
`;
}

function saidOf({ kind, classes }: Finding, classOf: (label: number) => string): string {
  const [a, b] = classes.map(classOf);
  if (kind === 'wrong-label') return `labelled ${a}, likely ${b}`;
  if (kind === 'one-class') return `${a} and ${b} cannot be told apart`;
  if (kind === 'two-classes') return `${a} is of two kinds`;
  if (kind === 'two-labels') return `${a} and ${b}`;
  return kind;
}

const html = (text: string): string =>
  text.replaceAll(/[&<>"]/g, (sign) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[sign]!);
