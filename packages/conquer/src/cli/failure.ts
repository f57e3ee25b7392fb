import { isSystemError, UserError } from '@conquer-dml/run';
import { CommanderError } from 'commander';
import { Interrupted } from '../interrupted.js';
import { isOutOfMemory } from '../out-of-memory.js';

/** What the system refuses for reasons that are not in the program: room, permission, a broken disk, too many files. */
const REFUSALS = new Set(
  'ENOSPC EDQUOT EFBIG EROFS EACCES EPERM EIO ESTALE EBUSY EMFILE ENFILE ENAMETOOLONG ELOOP'.split(' '),
);

const LESS_MEMORY =
  " (--arch, --widths, --batch-size, --image-size, --embedding-dim and the loss's own options say how much is needed)";

/** The options by which a mistake can be mended, where the library that found it does not know them. */
const WITHOUT_BAD_IMAGES = ' (--on-bad-image skip leaves such images out)';

/** Whether an error's message is for the person at the keyboard: wrong options, broken images, broken weight files, no engine, a process that is lost. */
export async function isMistake(error: unknown): Promise<boolean> {
  return error instanceof UserError || (await isBadImage(error)) || (await isOfEngine(error));
}

// The engine and the image reader know nothing of this program. They are imported when something has failed, as --help
// must not wait for them.

async function isBadImage(error: unknown): Promise<boolean> {
  const { ImageError } = await import('@conquer-dml/image');
  return error instanceof ImageError;
}

async function isOfEngine(error: unknown): Promise<boolean> {
  const { ProcessGroupError, SerializationError, SetupError } = await import('@conquer-dml/torch');
  return [ProcessGroupError, SerializationError, SetupError].some((Kind) => error instanceof Kind);
}

/**
 * Ends a command that has failed: with 2 and one line for a person's mistake, with the signal's code when interrupted,
 * with a stack for a bug of ours.
 */
export async function endWith(failure: unknown, command: string | undefined): Promise<void> {
  if (failure instanceof CommanderError) {
    process.exitCode = failure.exitCode === 0 ? 0 : 2;
    return;
  }
  if (failure instanceof Interrupted) {
    process.stderr.write(`${failure.message}\n`);
    process.exit(); // with the signal's code, and without waiting for what was left to itself
  }
  const line = await explained(failure, command);
  const bug = failure instanceof Error ? failure.stack : failure;
  const oneLine = line?.replaceAll(/\s*\n\s*/g, ' ');
  process.stderr.write(`conquer: ${oneLine ?? `this is a bug, please report it: ${bug}`}\n`);
  process.exitCode = line === null ? 1 : 2;
}

/** A failure that is none of the program's, in a line; null for all else. */
async function explained(failure: unknown, command: string | undefined): Promise<string | null> {
  if (isOutOfMemory(failure)) return `out of memory: ${failure.message.split('\n')[0]}${LESS_MEMORY}`;
  if (failure instanceof UserError)
    return `${failure.message}${isOutOfMemory(failure.cause) ? LESS_MEMORY : ''}`;
  if (isSystemError(failure) && REFUSALS.has(failure.code ?? ''))
    return `the system refused something: ${failure.message}`;
  if (!(await isMistake(failure))) return null;
  const hint = command === 'train' && (await isBadImage(failure)) ? WITHOUT_BAD_IMAGES : '';
  return `${(failure as Error).message}${hint}`;
}
