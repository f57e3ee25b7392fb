import { existsSync, mkdirSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { RunFolder, UserError } from '@conquer-dml/run';
import type { Command } from 'commander';
import { type AuditReport, audit, NEARLY_THE_SAME } from '../../audit/audit.js';
import { writeAudit } from '../../audit/audit-files.js';
import { type AuditedImages, auditedDataset, auditedFolder } from '../../audit/audited-images.js';
import { findingKinds } from '../../audit/finding.js';
import { openDataset } from '../../datasets/open.js';
import { photosDataset } from '../../datasets/photos-dataset.js';
import { buildDataset } from '../../experiment/build.js';
import { resolveExperiment } from '../../experiment/resolve.js';
import { setUpEngine } from '../../train/engine.js';
import { loadDashboard, rowReader } from '../dashboard-module.js';
import { modelFlags } from '../embedding-flags.js';
import { namingFlags } from '../fill.js';
import { isFile, modelNamed, modelOf } from '../model-of.js';
import { requireWritableFolder } from '../output-file.js';
import { cosineOf } from '../photos-index.js';
import { StopSignals } from '../stop-signals.js';
import { type Output, progressBar } from '../terminal.js';
import { wholeNumberOf } from '../whole-number.js';

/** Pixels of a picture on the page. */
const PICTURE = 96;

interface AuditFlags {
  model?: string;
  arch?: string;
  revision?: string;
  minSimilarity?: string;
  out?: string;
  device?: string;
  threads?: string;
  plugin?: string;
  json?: boolean;
}

export function add(program: Command): undefined {
  modelFlags(
    program
      .command('audit')
      .description('look for what is wrong with images, their classes and splits')
      .argument('<photos>', 'a folder of images, a CSV file, or a run, whose data set it is'),
  )
    .option(
      '--min-similarity <cosine>',
      `from which on two images are all but the same, −1 to 1 [${NEARLY_THE_SAME}]`,
    )
    .option('--out <folder>', 'where findings.csv, exclude.csv and audit.html go [audit-PHOTOS]')
    .option('--device <device>', 'cpu, or cuda:0, … [cpu]')
    .option('--threads <n>', 'of libtorch and of reading images [one a core]')
    .option('--plugin <file>', 'parts of your own that the run was trained with')
    .option('--json', 'print one line of JSON')
    .addHelpText(
      'after',
      '\nA network that was trained on these labels has learnt what is wrong of them:\nthe built-in one was not.\nExample: conquer audit photos\n         conquer train --recipe photos --dataset-dir photos \\\n           --exclude audit-photos/exclude.csv',
    )
    .action(
      async (photos: string, flags: AuditFlags) =>
        await runAudit({ photos, ...flags, output: process.stdout, progress: process.stderr }),
    );
}

interface AuditCommand extends AuditFlags {
  photos: string;
  output: Output;
  /** Takes progress and warnings. */
  progress: Output;
}

async function runAudit({ photos, out, output, progress, ...flags }: AuditCommand): Promise<void> {
  const minSimilarity = flags.minSimilarity === undefined ? undefined : cosineOf(flags.minSimilarity);
  const threads = flags.threads === undefined ? undefined : wholeNumberOf('--threads', flags.threads);
  const folder = out ?? `audit-${basename(resolve(photos)).replace(/\.(csv|tar|parquet)$/i, '')}`;
  requireWritableFolder('--out', folder);
  namingFlags(() => setUpEngine({ train: { device: flags.device, threads } }));
  const onWarning = (message: string) => void progress.write(`warning: ${message}\n`);
  const images = await imagesOf(photos, onWarning);
  using stop = new StopSignals(progress);
  using model = await modelOf(modelNamed(flags.model, progress), {
    checkpoint: 'best',
    device: flags.device,
    plugin: flags.plugin,
    arch: flags.arch,
    revision: flags.revision,
    progress,
  });
  const bars = new Map<string, ReturnType<typeof progressBar>>();
  const report = await audit(images, model, {
    ...{ minSimilarity, threads, onWarning, signal: stop.signal },
    onProgress: (what, at) => {
      if (!bars.has(what)) bars.set(what, progressBar(progress, what));
      bars.get(what)!(at);
    },
  });
  const { thumbnail } = await loadDashboard();
  const readRow = rowReader();
  mkdirSync(folder, { recursive: true });
  const files = await writeAudit(report, folder, {
    thumbnail: async (path) => await thumbnail(path, PICTURE, { quality: 60, readRow }),
  });
  if (flags.json) output.write(`${JSON.stringify({ ...countsOf(report), files })}\n`);
  else output.write(summaryOf(report, files));
}

async function imagesOf(photos: string, onWarning: (message: string) => void): Promise<AuditedImages> {
  if (RunFolder.exists(photos)) {
    const experiment = resolveExperiment(RunFolder.open(photos).experiment());
    return auditedDataset(await buildDataset(experiment, { onWarning }));
  }
  const { name } = await photosDataset(photos);
  // Shards say themselves which of them is missing.
  if (!existsSync(photos) && (name === 'csv' || name === 'folder'))
    throw new UserError(`${photos}: expected images, shards, a CSV file or a run, it is not there`);
  if (name === 'csv' || (name === 'folder' && isFile(photos)))
    return auditedDataset(await openDataset('csv', { file: photos, onWarning }));
  const { leftOut, ...images } = await auditedFolder(photos);
  if (leftOut.files + leftOut.folders > 0) onWarning(`${photos}: ${leftOut}`);
  return images;
}

const countsOf = ({ images, findings, shortcuts }: AuditReport) => ({
  images: images.paths.length,
  classes: images.classNames.length,
  findings: Object.fromEntries(
    findingKinds.map(({ kind }) => [kind, findings.filter((finding) => finding.kind === kind).length]),
  ),
  shortcuts,
});

function summaryOf(
  report: AuditReport,
  files: { findings: string; exclude: string; page: string; excluded: number },
): string {
  const { images, classes, findings, shortcuts } = countsOf(report);
  const per = (share: number) => `${(100 * share).toFixed(1)} %`;
  const lines = [
    `${images} images${classes > 0 ? ` of ${classes} classes` : ' without classes'}`,
    ...findingKinds.map(
      ({ kind, help }) => `${String(findings[kind]).padStart(7)}  ${kind.padEnd(15)}  ${help}`,
    ),
    ...(shortcuts
      ? [
          `the class is found by the whole image ${per(shortcuts.whole)}, its border alone ${per(shortcuts.border)},`,
          `its size alone ${per(shortcuts.size)}, by guessing ${per(shortcuts.chance)} (${shortcuts.images} images, each by the others)`,
        ]
      : []),
    `look through them  ${files.page}`,
    `all of them        ${files.findings}`,
    `to leave out       ${files.exclude} (${files.excluded} images), for --exclude`,
  ];
  return `${lines.join('\n')}\n`;
}
