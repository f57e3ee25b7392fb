import { UserError } from '@conquer-dml/run';
import type { Command } from 'commander';
import { embedFolder } from '../../retrieve/embed-folder.js';
import { embeddingFormats, formatOf } from '../../retrieve/embeddings/embedding-formats.js';
import { type Shard, shardFile, shardOf } from '../../retrieve/embeddings/shard.js';
import { mergeEmbeddings } from '../../retrieve/merge-embeddings.js';
import { setUpEngine } from '../../train/engine.js';
import { type EmbeddingFlags, embeddingFlags, modelFlags } from '../embedding-flags.js';
import { namingFlags } from '../fill.js';
import { modelNamed, modelOf } from '../model-of.js';
import { requireWritable } from '../output-file.js';
import { shardOfJob } from '../shard-of-job.js';
import { stoppable } from '../stop-signals.js';
import { progressBar } from '../terminal.js';
import { addTestTimeFlags, testTimeFlags } from '../test-time-flags.js';
import { wholeNumberOf } from '../whole-number.js';

interface EmbedFlags extends EmbeddingFlags {
  out: string;
  shard?: string;
  shards?: string;
  merge?: boolean;
  batchSize?: string;
  prefix?: string;
  flips?: boolean;
  crops?: string;
}

const kinds = embeddingFormats.map(({ extension, help }) => `  ${extension.padEnd(12)} ${help}`).join('\n');

export function add(program: Command): undefined {
  const command = program
    .command('embed')
    .description('embed the images of a folder into a file')
    .argument('[folder]', 'images, in it or its subfolders; none with --merge')
    .requiredOption('--out <file>', 'the file; what its name ends in says the kind');
  modelFlags(command)
    .option('--shard <i/n>', 'only this one of so many equal parts, into NAME-0000i-of-0000n')
    .option('--shards <n>', 'the same, i being JOB_COMPLETION_INDEX + 1 or the place in the Slurm array')
    .option('--merge', 'join the parts that lie beside --out under its name')
    .option('--batch-size <n>', 'images of a batch [64]');
  addTestTimeFlags(command);
  embeddingFlags(command)
    .addHelpText(
      'after',
      `\nInterrupted, it goes on where it was. Each task of a Slurm array takes its part.\n${kinds}\nExample: conquer embed photos --model facebook/dinov2-small --out x.parquet`,
    )
    .action(async (folder: string | undefined, options: EmbedFlags) => {
      if (options.merge === true) await runMerge(folder, options);
      else await runEmbed(folder, options);
    });
}

async function runMerge(folder: string | undefined, { out, json, shard, shards }: EmbedFlags): Promise<void> {
  if (folder !== undefined || shard !== undefined || shards !== undefined)
    throw new UserError('--merge: expected --out alone, whose parts lie beside it');
  requireWritable('--out', out);
  const { images, shards: parts } = await mergeEmbeddings(out);
  const line = `${out}: ${images} images of ${parts} parts, which stay\n`;
  process.stdout.write(json ? `${JSON.stringify({ file: out, images, shards: parts })}\n` : line);
}

async function runEmbed(folder: string | undefined, options: EmbedFlags): Promise<void> {
  const { out, checkpoint, device, precision, plugin, arch, revision, onBadImage } = options;
  const progress = process.stderr;
  if (folder === undefined) throw new UserError('embed: expected a folder of images');
  formatOf(out); // before any work
  requireWritable('--out', out);
  const shard = shardAsked(options);
  const threads = options.threads === undefined ? undefined : wholeNumberOf('--threads', options.threads);
  const batchSize =
    options.batchSize === undefined ? undefined : wholeNumberOf('--batch-size', options.batchSize);
  if (shard) progress.write(`note: part ${shard.number} of ${shard.count}, into ${shardFile(out, shard)}\n`);
  namingFlags(() => setUpEngine({ train: { threads, device } }));
  const named = modelNamed(options.model, progress);
  const testTime = testTimeFlags(options);
  const where = { device, precision };
  using model = await modelOf(named, {
    ...{ checkpoint, ...where, plugin, arch, revision, testTime, progress },
  });
  const { file, images, kept, leftOut } = await stoppable(progress, (signal) =>
    embedFolder(model, folder, {
      ...{ out, shard, onBadImage, threads, batchSize, signal },
      onProgress: progressBar(progress, 'embedding'),
      onWarning: (message) => void progress.write(`warning: ${message}\n`),
    }),
  );
  if (leftOut.files + leftOut.folders > 0) progress.write(`warning: ${leftOut}\n`);
  const before = kept > 0 ? `, ${kept} of them before it was interrupted` : '';
  const line = `${file}: ${images} images, ${model.dim} numbers each${before}\n`;
  process.stdout.write(
    options.json ? `${JSON.stringify({ file, images, kept, dim: model.dim, embedder: model.id })}\n` : line,
  );
}

function shardAsked({ shard, shards }: EmbedFlags): Shard | null {
  if (shard !== undefined && shards !== undefined)
    throw new UserError('give either --shard i/n or --shards n');
  if (shard === undefined)
    return shardOfJob(process.env, shards === undefined ? null : wholeNumberOf('--shards', shards));
  try {
    return shardOf(shard);
  } catch (error) {
    throw error instanceof UserError ? new UserError(`--shard: ${error.message}`) : error;
  }
}
