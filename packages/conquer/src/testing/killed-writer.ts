import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { scope, tensor } from '@conquer-dml/torch';
import { expect } from 'vitest';
import type { Random } from '../random.js';
import { ImageIndex } from '../retrieve/image-index.js';

/** Items that are there at a time beside the counter. */
const KEPT = 40;
const DIM = 6;

// A program that changes an index again and again: adds an item, removes the oldest, and counts in the payload of another. With graphs
// it builds one for every other write, and the write between is without.
const source = `
  const { ImageIndex } = await import(${JSON.stringify(new URL('../../dist/retrieve/image-index.js', import.meta.url))});
  const [, path, graphs] = process.argv;
  const index = ImageIndex.open(path);
  const rowOf = (n) => Float32Array.from({ length: ${DIM} }, (_, d) => Math.sin(n * 7.3 + d));
  for (let n = index.item('counter').payload + 1; ; n++) {
    index.update(rowOf(n), [{ id: 'counter', payload: n }]);
    index.add(rowOf(n), [{ id: String(n), payload: 'x'.repeat(n % 7 * 400) }]);
    index.remove([String(n - ${KEPT})]);
    if (graphs && n % 2 === 0) index.buildGraph({ threads: 1 });
    index.save(path, { compact: graphs ? n % 2 === 1 : n % 10 === 0 });
    console.log(n);
  }
`;

const rowOf = (n: number) => Float32Array.from({ length: DIM }, (_, d) => Math.sin(n * 7.3 + d));

/** An index for `killWriter` to work on. */
export function writeCounted(path: string): void {
  const numbers = Array.from({ length: KEPT }, (_, i) => i - KEPT + 1);
  const rows = [...numbers.map(rowOf), rowOf(0)];
  const items = [...numbers.map((n) => ({ id: String(n) })), { id: 'counter', payload: 0 }];
  using index = ImageIndex.of(rows, items);
  index.save(path);
}

/**
 * Lets a program change the index and kills it at a random moment; what is there must be what its last write, or the one after
 * it, made; with its graph, where that had one.
 * @param graphs whether it builds graphs too
 * @returns how many writes the index has behind it
 */
export async function killWriter(
  path: string,
  random: Random,
  { graphs = false }: { graphs?: boolean } = {},
): Promise<number> {
  const child = spawn(process.execPath, [
    ...['--input-type=module', '-e', source, path],
    ...(graphs ? ['graphs'] : []),
  ]);
  let errors = '';
  child.stderr.on('data', (chunk) => {
    errors += chunk;
  });
  const ended = once(child, 'close');
  const lines = createInterface(child.stdout);
  let acknowledged: number | null = null;
  let timer: NodeJS.Timeout | undefined;
  for await (const line of lines) {
    timer ??= setTimeout(() => child.kill('SIGKILL'), random.next() * 60);
    acknowledged = Number(line);
  }
  clearTimeout(timer);
  await ended;
  expect(errors).toBe('');
  ImageIndex.check(path);
  using index = ImageIndex.open(path);
  const count = index.item('counter')!.payload as number;
  expect([acknowledged, acknowledged! + 1]).toContain(count);
  const wanted = Array.from({ length: KEPT }, (_, i) => String(count - KEPT + 1 + i));
  expect([...index.items()].map(({ id }) => id).filter((id) => id !== 'counter')).toEqual(wanted);
  for (const n of [count, count - KEPT + 1]) {
    const found = scope(() => index.search(tensor(rowOf(n), { shape: [1, DIM] }), 2))[0]!;
    expect(found.find(({ id }) => id === String(n))?.similarity).toBeCloseTo(1, 6);
  }
  expect(index.graph !== null).toBe(graphs && count > 0 && count % 2 === 0);
  if (index.graph) {
    using rows = index.allRows();
    expect(index.search(rows, 3, { approximate: true })).toEqual(index.search(rows, 3));
  }
  return count;
}
