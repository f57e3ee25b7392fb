// Runs the program many times in one process, one after the other: to start it anew for each would take most of the
// time. Arguments: the program's main module, and a JSON file of the commands, each a list of arguments. Writes a line of
// JSON for each to file descriptor 3: {code, out}.
import { readFileSync, writeSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';

const [main, file] = process.argv.slice(2);
const commands = JSON.parse(readFileSync(file, 'utf8'));
process.setMaxListeners(0);
process.stdout.setMaxListeners(0);
process.stderr.setMaxListeners(0);

let out = '';
const write = (text, ...rest) => {
  out += text;
  rest.at(-1)?.call?.(null);
  return true;
};
process.stdout.write = write;
process.stderr.write = write;

for (const [index, args] of commands.entries()) {
  out = '';
  process.exitCode = 0;
  process.argv = [process.execPath, 'conquer', ...args];
  // Its query makes it another module, with options that nobody has given yet.
  await import(`${main}?command=${index}`);
  await setImmediate();
  writeSync(3, `${JSON.stringify({ code: process.exitCode, out })}\n`);
}
process.exit(0);
