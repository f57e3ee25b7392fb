import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ImageError } from '@conquer-dml/image';
import type { RunFolder, Summary } from '@conquer-dml/run';
import { z } from 'zod';
import { readTestedImages, type TestedImages } from '../data/tested-images.js';
import { part } from '../part.js';
import { EventFile } from './event-file.js';
import type { Report } from './report.js';
import { retrievalStrips } from './retrieval-strips.js';
import { placeOf, scalarsOf } from './scalars.js';
import type { RunEnd, TrackedRun, Tracker, TrackerContext } from './tracker.js';

/** Points of the projector: more make the page slow. */
const MOST_POINTS = 10_000;

/**
 * Writes TensorBoard's event files into the run's folder tensorboard/: scalars by step (steps/…) and by epoch (all
 * others; 0 is the network before training), the settings as text, and at the end the best epoch's embedding of the
 * test images for the projector and pictures of retrievals. Read by `tensorboard --logdir RUNS`.
 */
export class TensorBoard implements Tracker {
  readonly name = 'TensorBoard';
  private file: EventFile | null = null;
  private folder: RunFolder | null = null;
  private epochs = 0;
  private onNote: TrackedRun['onNote'] = () => {};

  /** The folder gets one file that holds all of the run's log, and loses those of sessions before. */
  async start({ folder, settings, past, onNote }: TrackedRun): Promise<void> {
    this.folder = folder;
    this.onNote = onNote;
    const older = EventFile.in(this.path);
    this.file = new EventFile(this.path);
    for (const file of older) rmSync(file, { force: true });
    const rows = Object.entries(settings)
      .filter(([, value]) => value !== null)
      .map(([name, value]) => `| ${name} | ${value} |\n`);
    this.file.text('settings', `| setting | value |\n|---|---|\n${rows.join('')}`, 0);
    for (const [i, report] of past.entries()) {
      await this.report(report);
      // The run goes on meanwhile.
      if (i % 1000 === 999) await nextTurn();
    }
  }

  async report(report: Report): Promise<void> {
    if (report.kind === 'epoch') this.epochs = report.record.epoch + 1;
    this.file?.scalars(scalarsOf(report), placeOf(report));
  }

  async end(_how: RunEnd, _summary: Summary | null): Promise<void> {
    const { file, folder } = this;
    if (!file || !folder || !existsSync(folder.embeddingsFile) || !existsSync(folder.testImagesFile)) return;
    const embeddings = await readTestedImages(folder);
    this.writeProjector(embeddings);
    try {
      for (const { tag, image } of await retrievalStrips(embeddings)) file.image(tag, image, this.epochs);
    } catch (error) {
      if (!(error instanceof ImageError)) throw error;
      this.onNote(`pictures of retrievals are left out: ${error.message}`);
    }
  }

  private get path(): string {
    return join(this.folder?.path ?? '', 'tensorboard');
  }

  /** The best epoch's embedding of the test images, and each one's class and file, for the projector. */
  private writeProjector({ embeddings, dim, queries: { paths, labels, classNames } }: TestedImages): void {
    // Every so many, so that all classes stay in.
    const stride = Math.ceil(paths.length / MOST_POINTS);
    const points = [...paths.keys()].filter((i) => i % stride === 0);
    const word = (text: string) => text.replaceAll(/[\t\r\n]/g, ' ');
    const write = (name: string, lines: string[]) =>
      writeFileSync(join(this.path, name), lines.map((line) => `${line}\n`).join(''));
    const row = (i: number) => [...embeddings.subarray(i * dim, (i + 1) * dim)];
    mkdirSync(this.path, { recursive: true });
    write(
      'embedding.tsv',
      points.map((i) =>
        row(i)
          .map((value) => value.toPrecision(6))
          .join('\t'),
      ),
    );
    write('metadata.tsv', [
      'class\tfile',
      ...points.map((i) => `${word(classNames[labels[i] ?? -1] ?? '')}\t${word(basename(paths[i] ?? ''))}`),
    ]);
    write('projector_config.pbtxt', [
      'embeddings {',
      '  tensor_name: "test images"',
      '  tensor_path: "embedding.tsv"',
      '  metadata_path: "metadata.tsv"',
      '}',
    ]);
  }
}

export const tensorboard = part({
  name: 'tensorboard',
  help: "write event files of TensorBoard into the run's folder",
  options: z.strictObject({}),
  build: (_, __: TrackerContext): Tracker => new TensorBoard(),
});
