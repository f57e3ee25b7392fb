// The command line of a script that a person starts: `--help` prints the comment that the script begins with.
import { readFileSync, statSync } from 'node:fs';
import { relative } from 'node:path';
import { parseArgs } from 'node:util';

/** What an option's text becomes, by its type; undefined where it is none. */
const READERS = {
  number: { what: 'a number above 0', read: (text) => (Number(text) > 0 ? Number(text) : undefined) },
  pattern: { what: 'a regular expression', read: patternOf },
  file: { what: 'a file that is there', read: (text) => (kindOf(text) === 'file' ? text : undefined) },
};

/** What is given without an option under these names is a folder that is there; `NAME=FOLDER` behind its name. */
const FOLDERS = /\b(FOLDER|PHOTOS|INDEX|RUN)\b/;

/**
 * Ends the process where something else was given than is expected.
 * @param {Record<string, object>} options as `parseArgs` of node:util has them, and of the types of READERS
 * @param {string[]} names of what is given without an option: `[ARCH]` can be left out, `[NAME…]` is all that comes
 * @returns {{ values: Record<string, any>, positionals: string[] }}
 */
export function commandLine(options = {}, names = [], args = process.argv.slice(2)) {
  const texts = Object.entries(options).map(([name, { type, default: value, ...more }]) => {
    const isText = type in READERS;
    const usual = value !== undefined && { default: isText ? String(value) : value };
    return [name, { ...more, type: isText ? 'string' : type, ...usual }];
  });
  let given;
  try {
    const known = { ...Object.fromEntries(texts), help: { type: 'boolean', short: 'h' } };
    given = parseArgs({ args, options: known, allowPositionals: true });
  } catch (error) {
    const known = ['help', ...Object.keys(options)].map((name) => `--${name}`).join(', ');
    refuse(`${error.message.split(/\.\s|\n/)[0]}; the options are ${known}`);
  }
  const { values, positionals } = given;
  if (values.help) {
    const [comment] = /^(\/\/.*\n)+/.exec(readFileSync(process.argv[1], 'utf8'));
    process.stdout.write(comment.replaceAll(/^\/\/ ?/gm, ''));
    process.exit(0);
  }
  const least = names.filter((name) => !name.startsWith('[')).length;
  const most = names.at(-1)?.endsWith('…]') ? Number.POSITIVE_INFINITY : names.length;
  if (positionals.length < least || positionals.length > most)
    refuse(`expected ${names.join(' ') || 'options alone'}, got ${positionals.join(' ') || 'nothing'}`);
  for (const [place, text] of positionals.entries()) {
    const name = names[Math.min(place, names.length - 1)].startsWith('[…') ? names.at(-2) : names[place];
    const path = name?.includes('=') ? text.slice(text.indexOf('=') + 1) : text;
    if (FOLDERS.test(name) && kindOf(path) !== 'folder')
      refuse(`${name}: expected a folder that is there, got '${path}'`);
  }
  for (const [name, text] of Object.entries(values)) {
    const reader = READERS[options[name].type];
    if (!reader) continue;
    values[name] = reader.read(text);
    if (values[name] === undefined) refuse(`--${name}: expected ${reader.what}, got '${text}'`);
  }
  return { values, positionals };
}

/** @returns {'file' | 'folder' | null} what lies at a path */
function kindOf(path) {
  const found = statSync(path, { throwIfNoEntry: false });
  return found ? (found.isDirectory() ? 'folder' : 'file') : null;
}

function patternOf(text) {
  try {
    return new RegExp(text);
  } catch {
    return undefined;
  }
}

/** Says in a line why a script cannot do what it was told, and ends it. */
export function refuse(why) {
  console.error(`${relative(process.cwd(), process.argv[1])}: ${why} (--help says more)`);
  process.exit(2);
}
