import { quoted, SerializationError } from './serialization-error.js';

const DIGIT_0 = 48;
const DIGIT_9 = 57;
const BACKSLASH = 92;
const QUOTE = 34;

/**
 * Reads JSON of a known form piece by piece. `JSON.parse` would first build whatever the text says, which for a
 * hostile text is many times its size, and would let a repeated key pass.
 */
export class JsonScanner {
  readonly #text: string;
  readonly #source: string;
  #position = 0;

  /** @param source names the text in errors. */
  constructor(text: string, source: string) {
    this.#text = text;
    this.#source = source;
  }

  /** Calls `entry` for every key of an object, placed before its value. A repeated key is an error. */
  object(entry: (key: string) => void): void {
    this.#expect('{');
    if (this.#take('}')) return;
    const seen = new Set<string>();
    do {
      const key = this.string();
      if (seen.has(key)) throw this.error(`the key ${quoted(key)} appears twice`);
      seen.add(key);
      this.#expect(':');
      entry(key);
    } while (this.#take(','));
    this.#expect('}');
  }

  /** An array of integers from 0 to 2^53 - 1, of at most `limit` of them. */
  naturals(limit: number): number[] {
    const values: number[] = [];
    this.#expect('[');
    if (this.#take(']')) return values;
    do {
      if (values.length === limit) throw this.error(`an array has more than ${limit} numbers`);
      values.push(this.#natural());
    } while (this.#take(','));
    this.#expect(']');
    return values;
  }

  string(): string {
    this.#space();
    const start = this.#position;
    if (this.#text.charCodeAt(start) !== QUOTE) throw this.#expected('a string');
    let end = start + 1;
    while (end < this.#text.length && this.#text.charCodeAt(end) !== QUOTE) {
      end += this.#text.charCodeAt(end) === BACKSLASH ? 2 : 1;
    }
    this.#position = end + 1;
    try {
      return JSON.parse(this.#text.slice(start, end + 1)) as string;
    } catch {
      throw this.error(`the string at character ${start} is not valid JSON`);
    }
  }

  /** Nothing but space may follow. */
  end(): void {
    this.#space();
    if (this.#position < this.#text.length) throw this.#expected('the end');
  }

  error(message: string): SerializationError {
    return new SerializationError(`${this.#source}: ${message}`);
  }

  #natural(): number {
    this.#space();
    const start = this.#position;
    let value = 0;
    for (; ; this.#position++) {
      const code = this.#text.charCodeAt(this.#position);
      if (!(code >= DIGIT_0 && code <= DIGIT_9)) break;
      value = value * 10 + (code - DIGIT_0);
      if (value > Number.MAX_SAFE_INTEGER) throw this.error(`the number at character ${start} is over 2^53`);
    }
    if (this.#position === start) throw this.#expected('an integer of at least 0');
    return value;
  }

  #space(): void {
    for (; ; this.#position++) {
      const character = this.#text[this.#position];
      if (character !== ' ' && character !== '\n' && character !== '\t' && character !== '\r') return;
    }
  }

  #take(character: string): boolean {
    this.#space();
    if (this.#text[this.#position] !== character) return false;
    this.#position++;
    return true;
  }

  #expect(character: string): void {
    if (!this.#take(character)) throw this.#expected(quoted(character));
  }

  #expected(what: string): SerializationError {
    const found = this.#text[this.#position];
    return this.error(
      `expected ${what} at character ${this.#position}, found ${found === undefined ? 'the end' : quoted(found)}`,
    );
  }
}
