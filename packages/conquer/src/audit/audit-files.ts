import { join, relative } from 'node:path';
import { writeFileAtomic } from '@conquer-dml/run';
import type { AuditReport } from './audit.js';
import { auditPage } from './audit-page.js';
import type { Finding } from './finding.js';

/** Findings whose images go without being looked at: another file, or another part of the data, has the same. */
const surely = (finding: Finding): boolean => finding.kind === 'exact-duplicate' || finding.kind === 'leak';

export interface AuditFilesOptions {
  /** A small picture of an image, as bytes of WebP; null: it has none. */
  thumbnail: (path: string) => Promise<Uint8Array | null>;
}

/**
 * Writes what an audit found into a folder that is there: `findings.csv`, a line for each image of each; `exclude.csv`, images that
 * may go without a look (copies by their bytes, and of leaks what is trained on); `audit.html`, a page to look through all of it, to
 * mark images, and to save a list of them. Paths are relative to the images' folder.
 *
 * @returns the files, absolute where the folder is, and how many images `exclude.csv` lists
 */
export async function writeAudit(
  report: AuditReport,
  folder: string,
  { thumbnail }: AuditFilesOptions,
): Promise<{ findings: string; exclude: string; page: string; excluded: number }> {
  const { images } = report;
  const nameOf = (place: number) => {
    const path = images.paths[place]!;
    return images.folder === null ? path : relative(images.folder, path);
  };
  const classOf = (label: number | undefined) =>
    label === undefined || label < 0 ? '' : images.classNames[label]!;
  const lines = report.findings.flatMap(({ kind, score, images: places, classes }, number) =>
    places.map((place) => [
      ...[String(number + 1), kind, score.toFixed(4), nameOf(place), classOf(images.labels[place])],
      ...[kind === 'wrong-label' ? classOf(classes[1]) : '', images.splits?.[place] ?? ''],
    ]),
  );
  const findings = join(folder, 'findings.csv');
  writeFileAtomic(findings, csvOf(['finding', 'kind', 'score', 'path', 'label', 'likely', 'split'], lines));
  const excluded = [...new Set(report.findings.filter(surely).map(({ images: [place] }) => place!))];
  const exclude = join(folder, 'exclude.csv');
  writeFileAtomic(
    exclude,
    csvOf(
      ['path'],
      excluded.map((place) => [nameOf(place)]),
    ),
  );
  const page = join(folder, 'audit.html');
  const marked = new Set(excluded);
  writeFileAtomic(page, await auditPage(report, { nameOf, classOf, marked, thumbnail }));
  return { findings, exclude, page, excluded: excluded.length };
}

const csvOf = (header: readonly string[], lines: readonly (readonly string[])[]): string =>
  [header, ...lines].map((cells) => `${cells.map(cellOf).join(',')}\n`).join('');

const cellOf = (text: string): string =>
  /[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
