import { quoted, SerializationError } from './serialization-error.js';

const DIGIT_0 = 48;
const DIGIT_9 = 57;
const BACKSLASH = 92;
const QUOTE = 34;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
/** As the format's own library has it. */
const MAX_NESTING = 127;

/**
 * Reads JSON of a known form piece by piece. `JSON.parse` would first build whatever the text says, which for a
 * hostile text is many times its size, and would not tell of a repeated key.
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

  /** Calls `entry` for every key of an object, placed before its value; for a repeated one, each time. */
  object(entry: (key: string) => void): void {
    this.#expect('{');
    if (this.#take('}')) return;
    do {
      const key = this.string();
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

  /** Whether a string comes next. */
  atString(): boolean {
    this.#space();
    return this.#text.charCodeAt(this.#position) === QUOTE;
  }

  /** Takes `null` if it comes next. */
  null(): boolean {
    return this.#word('null');
  }

  /** Passes over a value of any kind, and returns its text. */
  skip(): string {
    this.#space();
    const start = this.#position;
    // What closes the containers that are open: no recursion, so that no nesting overflows the stack.
    const closing: string[] = [];
    do {
      if (closing.length > MAX_NESTING)
        throw this.error(`values are nested deeper than ${MAX_NESTING} at character ${this.#position}`);
      if (this.#take('{')) {
        if (!this.#take('}')) {
          this.#key();
          closing.push('}');
          continue;
        }
      } else if (this.#take('[')) {
        if (!this.#take(']')) {
          closing.push(']');
          continue;
        }
      } else this.#scalar();
      this.#close(closing);
    } while (closing.length > 0);
    return this.#text.slice(start, this.#position);
  }

  /** After a value: closes the containers that end here, up to the comma before the next value. */
  #close(closing: string[]): void {
    for (let end = closing.at(-1); end !== undefined; end = closing.at(-1)) {
      if (this.#take(',')) {
        if (end === '}') this.#key();
        return;
      }
      this.#expect(end);
      closing.pop();
    }
  }

  #key(): void {
    this.string();
    this.#expect(':');
  }

  #scalar(): void {
    this.#space();
    if (this.#text.charCodeAt(this.#position) === QUOTE) this.string();
    else if (!['null', 'true', 'false'].some((word) => this.#word(word))) {
      NUMBER.lastIndex = this.#position;
      const [number] = NUMBER.exec(this.#text) ?? [];
      if (number === undefined) throw this.#expected('a value');
      this.#position += number.length;
    }
  }

  #word(word: string): boolean {
    this.#space();
    if (!this.#text.startsWith(word, this.#position)) return false;
    this.#position += word.length;
    return true;
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
      const text = JSON.parse(this.#text.slice(start, end + 1)) as string;
      if (!/\p{Surrogate}/u.test(text)) return text;
    } catch {
      // As below.
    }
    throw this.error(`the string at character ${start} is not valid JSON`);
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
    if (this.#position > start + 1 && this.#text.charCodeAt(start) === DIGIT_0)
      throw this.error(`the number at character ${start} begins with 0`);
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
