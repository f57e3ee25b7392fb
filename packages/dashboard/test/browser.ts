import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { program } from '@conquer-dml/testing/program';
import type { Page } from 'playwright-core';
import { expect } from 'vitest';

/** What the tests use of an element of the page; Node has no types of those. */
export interface DomNode {
  textContent: string;
  children: Iterable<DomNode>;
  querySelector(selector: string): DomNode;
  querySelectorAll(selector: string): Iterable<DomNode>;
  /** Of images. */
  alt: string;
  naturalWidth: number;
}

/** Pixels of a canvas that are near a colour. */
export async function pixelsOfColour(
  page: Page,
  canvas: string,
  [r, g, b]: [number, number, number],
): Promise<number> {
  return (await page.evaluate(`(() => {
    const canvas = document.querySelector(${JSON.stringify(canvas)});
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    let n = 0;
    for (let i = 0; i < data.length; i += 4)
      if (data[i + 3] > 200 && Math.abs(data[i] - ${r}) + Math.abs(data[i + 1] - ${g}) + Math.abs(data[i + 2] - ${b}) < 30) n++;
    return n;
  })()`)) as number;
}

/** Runs the command line to its end. */
export function conquer(...args: string[]): Promise<string> {
  return new Promise((done, failed) => {
    const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text) => (output += text));
    child.on('error', failed);
    child.on('close', (code) =>
      code === 0 ? done(output) : failed(new Error(`conquer ${args[0]} ended with ${code}:\n${output}`)),
    );
  });
}

/** Starts `conquer dashboard`; answers its address once it listens. */
export async function startDashboard(runsDir: string): Promise<{ url: string; process: ChildProcess }> {
  const child = spawn(process.execPath, [program, 'dashboard', runsDir, '--port', '0'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const url = await new Promise<string>((done, failed) => {
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      const found = /http:\/\/\S+/.exec(output);
      if (found) done(found[0]);
    });
    child.on('close', () => failed(new Error(`the dashboard ended: ${output}`)));
  });
  return { url, process: child };
}

export const lines = <T>(file: string): T[] =>
  readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as T);

/** An int32 or float32 tensor of a safetensors file, flat. */
export function tensor(file: string, name: string): { shape: number[]; values: Int32Array | Float32Array } {
  const bytes = readFileSync(file);
  const start = 8 + Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString('utf8', 8, start)) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >;
  const entry = header[name];
  expect(entry, name).toBeDefined();
  const { dtype, shape, data_offsets } = entry as NonNullable<typeof entry>;
  // A copy, so that it is aligned.
  const data = new Uint8Array(bytes.subarray(start + data_offsets[0], start + data_offsets[1])).buffer;
  return { shape, values: dtype === 'I32' ? new Int32Array(data) : new Float32Array(data) };
}
