import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { program } from '@conquer-dml/testing/program';
import { temporaryFolder } from '@conquer-dml/testing/temporary-folder';
import { expect, it } from 'vitest';

// docs/guide.md: its commands in one shell, and what they print beside what stands there. Another processor rounds differently, so that
// numbers may differ a little, words may not. GUIDE=write writes what they print into the guide.

const here = fileURLToPath(new URL('.', import.meta.url));
const guide = join(here, '../docs/guide.md');
const PORT = '4281';
const MARK = '=== end of a command ===';

/** Commands, and what stands below each, of a block of the guide. */
function stepsOf(block: string) {
  return block.split(/^\$ /m).flatMap((step) => {
    const [command = '', ...lines] = step.trimEnd().split('\n');
    return command === '' ? [] : [{ command, output: lines.join('\n') }];
  });
}

async function freePort(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((done) => server.once('listening', done));
  const { port } = server.address() as { port: number };
  await new Promise((done) => server.close(done));
  return `${port}`;
}

const numbers = (text: string) =>
  [...text.matchAll(/\d+(?:\.\d+)?(?:e-\d+)?/g)].map(([number]) => Number(number));
const words = (text: string) => text.replaceAll(/\d+(?:\.\d+)?(?:e-\d+)?/g, '#').replaceAll(/ +/g, ' ');

it('the guide’s commands print what it says', { timeout: 600_000 }, async () => {
  execFileSync(join(here, '../node_modules/.bin/tsc'), ['-p', here], { stdio: 'inherit' });
  const folder = temporaryFolder();
  symlinkSync(here, join(folder, 'examples'));
  const text = readFileSync(guide, 'utf8');
  const blocks = [...text.matchAll(/^```console\n(.*?)^```$/gms)].map(([, block = '']) => stepsOf(block));
  expect(blocks.length).toBeGreaterThan(4);
  const port = await freePort();
  const script = [
    `npx() { shift; ${process.execPath} ${program} "$@"; }`,
    ...blocks.flat().flatMap(({ command }) => {
      // In the background it has to be the program itself that a signal reaches.
      const typed = command.endsWith('&')
        ? command.replace('npx conquer', `exec ${process.execPath} ${program}`)
        : command;
      return [typed.replaceAll(PORT, port), `echo; echo '${MARK}'`];
    }),
  ].join('\n');
  const { stdout } = spawnSync('bash', ['-c', `exec 2>&1\n${script}`], { cwd: folder, encoding: 'utf8' });
  const printed = stdout
    .replaceAll(port, PORT)
    .replaceAll(`${folder}/`, '')
    .split(MARK)
    // How far it has come is told as often as the machine is fast.
    .map((one) => one.split(/[\r\n]/).filter((line) => !/^(embedding|building the graph): /.test(line)))
    .map((lines) => lines.join('\n').trim());
  let at = 0;
  let written = text;
  for (const block of blocks) {
    const now = block.map(({ command }) => ({ command, output: printed[at++]! }));
    const shown = (steps: typeof block) =>
      steps.map(({ command, output }) => `$ ${command}\n${output ? `${output}\n` : ''}`).join('');
    if (process.env.GUIDE === 'write') {
      written = written.replace(shown(block), () => shown(now));
      continue;
    }
    for (const [step, { command, output }] of block.entries()) {
      const real = now[step]!.output;
      expect(words(real), command).toBe(words(output));
      const [given, stated] = [numbers(real), numbers(output)];
      for (const [place, number] of given.entries())
        expect(Math.abs(number - stated[place]!), command).toBeLessThanOrEqual(
          (Number.isInteger(number) ? 3 : 0.03) + 0.1 * Math.abs(number),
        );
    }
  }
  if (process.env.GUIDE === 'write') writeFileSync(guide, written);
});
