#!/usr/bin/env node
import { existsSync, readFileSync } from 'node:fs';

const built = new URL('../dist/cli/', import.meta.url);
const help = new URL('help.txt', built);
const main = new URL('main.js', built);

const asked = process.argv.length === 3 && ['--help', '-h'].includes(process.argv[2]);
// It is 80 columns wide, as most terminals are at least; in a narrower one its lines are broken elsewhere.
const fits = (process.stdout.columns ?? 80) >= 80;
if (asked && fits && existsSync(help)) {
  process.stdout.write(readFileSync(help));
} else if (existsSync(main)) {
  await import(main.href);
} else {
  console.error('conquer: not built yet, run: npm run setup');
  process.exitCode = 1;
}
