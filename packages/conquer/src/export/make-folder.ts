import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '@conquer-dml/run';

/** What an export is told by. */
const EXPORTED = ['image.onnx', 'model.safetensors'];
/** What may be written into its folder; others' files of these names stay. */
const NAMES = [
  ...EXPORTED,
  'onnx',
  'head.safetensors',
  'config.json',
  'preprocessor_config.json',
  'README.md',
];
/** What an earlier export may have left that is of another model. */
const OF_GRAPHS = [
  'image_fp16.onnx',
  'image_int8.onnx',
  'onnx/model_fp16.onnx',
  'onnx/model_quantized.onnx',
  'index.safetensors',
];

/**
 * Sees to it that a folder may take an export: it is new or empty, has an earlier export, or nothing that would be lost.
 *
 * @throws UserError where it holds a run, an index, or files of others of the names that are written
 */
export function requireExportFolder(path: string): void {
  const there = existsSync(path) ? readdirSync(path) : [];
  const lost = there.includes('manifest.json') ? 'manifest.json' : NAMES.find((name) => there.includes(name));
  if (lost !== undefined && !EXPORTED.some((name) => there.includes(name)))
    throw new UserError(
      `${path}: expected a new folder for the export, an empty one or an earlier export, it holds other files (${lost}): name another`,
    );
}

/** Makes a folder, and those above it. @throws UserError where it cannot be made */
export function makeFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (error) {
    throw new UserError(`${path} cannot be made: ${(error as Error).message.split(',')[0]}`);
  }
}

/** Removes graphs and rows of an earlier export that this one did not write. */
export function removeEarlier(path: string, written: readonly string[]): void {
  for (const name of OF_GRAPHS) if (!written.includes(name)) rmSync(join(path, name), { force: true });
}

/** @throws UserError for a file that conquer needs: a checkpoint, the rows of an index */
export function requireNoneOfConquer(file: string): void {
  if (existsSync(file) && headOf(file).includes('"format":"conquer-'))
    throw new UserError(
      `${file} is a file of conquer's own (a checkpoint, embeddings): name another for the weights`,
    );
}

function headOf(file: string): Buffer {
  const descriptor = openSync(file, 'r');
  try {
    const head = Buffer.alloc(1 << 12);
    return head.subarray(0, readSync(descriptor, head));
  } finally {
    closeSync(descriptor);
  }
}
