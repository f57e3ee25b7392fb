/** Numbers that lengths, counts and offsets break on. */
const EDGES = [
  0n,
  1n,
  0x7fn,
  0x80n,
  0xffn,
  0xffffn,
  0x7fffffffn,
  0x80000000n,
  0xffffffffn,
  1n << 53n,
  1n << 63n,
  (1n << 64n) - 1n,
];

/** Damages bytes, the same way for the same draws: for tests that a parser survives whatever it is given. */
export class Mutations {
  readonly #draw: (n: number) => number;

  /** @param draw a seed, or what draws one of 0 … n - 1 */
  constructor(draw: number | ((n: number) => number)) {
    this.#draw = typeof draw === 'number' ? seeded(draw) : draw;
  }

  /** 0 … n - 1 */
  int(n: number): number {
    return this.#draw(n);
  }

  pick<T>(items: readonly T[]): T {
    return items[this.int(items.length)] as T;
  }

  /** A damaged copy: cut, bits flipped, bytes replaced, a length overwritten, parts moved, or spliced with `others`. */
  damage(bytes: Uint8Array, others: readonly Uint8Array[]): Buffer {
    let result: Buffer = Buffer.from(bytes);
    for (let rounds = 1 + this.int(3); rounds > 0; rounds--) result = this.#once(result, others);
    return result;
  }

  /** The same with text in mind: numbers become edges of their ranges, and characters others of the text. */
  damageText(text: string): string {
    if (text.length === 0) return text;
    const at = this.int(text.length);
    switch (this.int(4)) {
      case 0:
        return text.replace(/\d+/g, (number) => (this.int(4) === 0 ? String(this.pick(EDGES)) : number));
      case 1:
        return text.slice(0, at) + text.slice(at + 1 + this.int(8));
      case 2:
        return text.slice(0, at) + this.pick([...text]) + text.slice(at + this.int(2));
      default: {
        const [start, end] = [at, at + this.int(40)];
        return text.slice(0, end) + text.slice(start);
      }
    }
  }

  #once(bytes: Buffer, others: readonly Uint8Array[]): Buffer {
    if (bytes.length === 0) return bytes;
    const at = this.int(bytes.length);
    const length = 1 + this.int(Math.min(64, bytes.length - at));
    switch (this.int(7)) {
      case 0:
        return bytes.subarray(0, at);
      case 1:
        bytes[at] = (bytes[at] ?? 0) ^ (1 << this.int(8));
        return bytes;
      case 2:
        for (let i = at; i < at + length; i++) bytes[i] = this.int(256);
        return bytes;
      case 3: {
        const edge = Buffer.alloc(8);
        edge.writeBigUInt64LE(this.pick(EDGES));
        edge.copy(bytes, at, 0, this.pick([1, 2, 4, 8]));
        return bytes;
      }
      case 4:
        return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]);
      case 5:
        return Buffer.concat([bytes.subarray(0, at + length), bytes.subarray(at)]);
      default: {
        const other = others.length > 0 ? this.pick(others) : bytes;
        const start = this.int(other.length);
        return Buffer.concat([
          bytes.subarray(0, at),
          other.subarray(start, start + 1 + this.int(64)),
          bytes.subarray(at),
        ]);
      }
    }
  }
}

/** mulberry32 */
function seeded(seed: number): (n: number) => number {
  let state = seed >>> 0;
  return (n) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * n);
  };
}
