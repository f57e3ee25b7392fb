import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '@conquer-dml/run';
import { FLOAT64, GoldenFormatError, type GoldenResult } from './check.js';
import { goldenFiles } from './files.js';

/**
 * Compares every golden file of a folder with the implementation, in float64.
 *
 * @param device where the implementation computes
 * @param print takes a line for each file of the folder and each known file that it lacks, as soon as it is known;
 *   failures are indented below theirs
 * @returns whether something is off: a number, a file that cannot be read, or one that is not known
 * @throws UserError if the folder cannot be read or holds none of the known files
 */
export async function goldenReport(
  folder: string,
  print: (line: string) => void,
  device = FLOAT64.device,
): Promise<boolean> {
  const present = listJson(folder);
  const known = Object.keys(goldenFiles);
  if (!known.some((name) => present.includes(name))) {
    throw new UserError(`expected golden files (${known.join(', ')}) in ${folder}, found none of them`);
  }
  let off = false;
  const width = Math.max(...[...known, ...present].map((name) => name.length)) + 2;
  const add = (name: string, text: string) => print(name.padEnd(width) + text);
  for (const name of [...new Set([...known, ...present])].sort()) {
    const check = goldenFiles[name];
    if (!present.includes(name)) add(name, 'missing: not in this folder');
    else if (!check) {
      add(name, 'OFF: nothing here reads a file of this name');
      off = true;
    } else {
      try {
        const result = await check(
          JSON.parse(readFileSync(join(folder, name), 'utf8')),
          { ...FLOAT64, device },
          folder,
        );
        add(name, summary(result));
        for (const failure of result.failures) print(`    ${failure}`);
        off ||= result.failures.length > 0;
      } catch (error) {
        if (!(error instanceof GoldenFormatError || error instanceof SyntaxError)) throw error;
        add(name, `OFF: cannot be read: ${error.message}`);
        off = true;
      }
    }
  }
  return off;
}

function listJson(folder: string): string[] {
  try {
    return readdirSync(folder).filter((name) => name.endsWith('.json'));
  } catch (error) {
    throw new UserError(
      `cannot read the folder ${folder}: ${(error as NodeJS.ErrnoException).code ?? error}`,
    );
  }
}

/** "42 cases, worst relative error 3.1e-14; not yet: snr (3)" */
function summary({ cases, worst, failures, notYet }: GoldenResult): string {
  const missing = [...notYet].map(([what, count]) => `${what} (${count})`).join(', ');
  const parts: string[] = [];
  if (cases > 0 || notYet.size === 0) {
    const verdict = failures.length > 0 ? `OFF in ${failures.length} places: ` : '';
    parts.push(
      `${verdict}${cases} ${cases === 1 ? 'case' : 'cases'}, worst relative error ${worst.toExponential(1)}`,
    );
  }
  if (missing) parts.push(`not yet: ${missing}`);
  return parts.join('; ');
}
