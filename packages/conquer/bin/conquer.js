#!/usr/bin/env node
import { existsSync, readFileSync, statSync } from 'node:fs';

const help = new URL('../dist/cli/help.txt', import.meta.url);
const main = new URL('../dist/bundle/main.js', import.meta.url);

const asked = process.argv.length === 3 && ['--help', '-h'].includes(process.argv[2]);
// It is 80 columns wide, as most terminals are at least; in a narrower one its lines are broken elsewhere.
const fits = (process.stdout.columns ?? 80) >= 80;
if (asked && fits && existsSync(help)) {
  process.stdout.write(readFileSync(help));
} else if (existsSync(main)) {
  // In a checkout: whoever compiles without the rest of the build would run what was before.
  const compiled = statSync(new URL('../dist/.tsbuildinfo', import.meta.url), { throwIfNoEntry: false });
  if (compiled && compiled.mtimeMs > statSync(main).mtimeMs)
    console.error('conquer: older than what was compiled last, run: npm run build');
  await import(main.href);
} else {
  console.error('conquer: not built yet, run: npm run setup');
  process.exitCode = 1;
}
