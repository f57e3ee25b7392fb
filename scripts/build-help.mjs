// Writes down what `conquer --help` prints, so that it need not be made anew each time: that takes three times as long as
// starting Node and reading it. `conquer help` always makes it.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const CONQUER = resolve(dirname(fileURLToPath(import.meta.url)), '../packages/conquer');

export function buildHelp() {
  const text = execFileSync(process.execPath, [join(CONQUER, 'bin/conquer.js'), 'help']);
  writeFileSync(join(CONQUER, 'dist/cli/help.txt'), text);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) buildHelp();
