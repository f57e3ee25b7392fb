import { isUtf8 } from 'node:buffer';
import { COST, type MemoryBudget } from './memory-budget.js';
import { isReference, PickleGlobals } from './pickle-globals.js';
import type { PickleItem, StorageReference } from './pickle-values.js';
import { SerializationError } from './serialization-error.js';

/** The pickle goes on where the bytes end: with more of the file it may be whole. */
export class TruncatedPickleError extends SerializationError {
  override name = 'TruncatedPickleError';
}

const HIGHEST_PROTOCOL = 5;
/** The longest integer, bytes. Python has no limit, but nothing here needs a longer one. */
const MAX_INTEGER_BYTES = 1024;
const NEWLINE = 10;

/**
 * A pickle machine for protocols 2 to 5 that builds plain data and tensor references, and nothing else.
 * Opcodes: Python's `pickletools`. No recursion, so that no nesting overflows the stack; what it builds is charged to
 * a {@link MemoryBudget}, so that no repetition exhausts the memory.
 */
export class Unpickler {
  readonly #bytes: Buffer;
  readonly #source: string;
  readonly #budget: MemoryBudget;
  readonly #globals: PickleGlobals;
  readonly #memo = new Map<number, PickleItem>();
  readonly #stack: PickleItem[] = [];
  /** The height of the stack at each open mark. */
  readonly #marks: number[] = [];
  #highest = 0;
  /** Byte of the next opcode; after `load`, the first one behind the pickle. */
  position = 0;

  /** @param source names the pickle in errors. */
  constructor(bytes: Buffer, source: string, budget: MemoryBudget) {
    this.#bytes = bytes;
    this.#source = source;
    this.#budget = budget;
    this.#globals = new PickleGlobals(budget, (message) => this.#fail(message));
  }

  /** Every storage that the pickles named, by key. */
  get storages(): ReadonlyMap<string, StorageReference> {
    return this.#globals.storages;
  }

  /** Reads one pickle, from `position` on. */
  load(): PickleItem {
    this.#stack.length = 0;
    this.#marks.length = 0;
    this.#memo.clear();
    for (;;) {
      const opcode = this.#uint(1);
      if (opcode === 0x2e) return this.#pop(); // STOP
      this.#run(opcode);
    }
  }

  #run(opcode: number): void {
    switch (opcode) {
      case 0x80: // PROTO
        if (this.#uint(1) > HIGHEST_PROTOCOL)
          throw this.#fail('its protocol is over 5, or it is not a pickle');
        return;
      case 0x95: // FRAME
        this.#uint(8);
        return;
      case 0x28: // MARK
        this.#budget.charge(COST.slot);
        this.#marks.push(this.#stack.length);
        return;
      case 0x30: // POP
        if (this.#marks.at(-1) === this.#stack.length) this.#marks.pop();
        else this.#pop();
        return;
      case 0x31: // POP_MARK
        this.#popMark();
        return;
      case 0x32: // DUP
        this.#push(this.#top());
        return;
      case 0x4e: // NONE
        this.#push(null);
        return;
      case 0x88: // NEWTRUE
        this.#push(true);
        return;
      case 0x89: // NEWFALSE
        this.#push(false);
        return;
      case 0x4a: // BININT
        this.#push(this.#take(4).readInt32LE());
        return;
      case 0x4b: // BININT1
        this.#push(this.#uint(1));
        return;
      case 0x4d: // BININT2
        this.#push(this.#uint(2));
        return;
      case 0x8a: // LONG1
        this.#push(this.#integer(this.#uint(1)));
        return;
      case 0x8b: // LONG4
        this.#push(this.#integer(this.#uint(4)));
        return;
      case 0x47: // BINFLOAT
        this.#push(this.#take(8).readDoubleBE());
        return;
      case 0x54: // BINSTRING, of Python 2
        this.#push(this.#oldString(this.#uint(4)));
        return;
      case 0x55: // SHORT_BINSTRING, of Python 2
        this.#push(this.#oldString(this.#uint(1)));
        return;
      case 0x58: // BINUNICODE
        this.#push(this.#string(this.#uint(4)));
        return;
      case 0x8c: // SHORT_BINUNICODE
        this.#push(this.#string(this.#uint(1)));
        return;
      case 0x8d: // BINUNICODE8
        this.#push(this.#string(this.#uint(8)));
        return;
      case 0x42: // BINBYTES
        this.#push(this.#binary(this.#uint(4)));
        return;
      case 0x43: // SHORT_BINBYTES
        this.#push(this.#binary(this.#uint(1)));
        return;
      case 0x8e: // BINBYTES8
      case 0x96: // BYTEARRAY8
        this.#push(this.#binary(this.#uint(8)));
        return;
      case 0x5d: // EMPTY_LIST
      case 0x29: // EMPTY_TUPLE
        this.#push(this.#array([]));
        return;
      case 0x6c: // LIST
      case 0x74: // TUPLE
        this.#push(this.#array(this.#popMark()));
        return;
      case 0x85: // TUPLE1
      case 0x86: // TUPLE2
      case 0x87: // TUPLE3
        this.#push(this.#array(this.#popMany(opcode - 0x84)));
        return;
      case 0x61: // APPEND
        this.#append(this.#popMany(1));
        return;
      case 0x65: // APPENDS
        this.#append(this.#popMark());
        return;
      case 0x7d: // EMPTY_DICT
        this.#budget.charge(COST.map);
        this.#push(new Map());
        return;
      case 0x64: // DICT
        this.#dict();
        return;
      case 0x73: // SETITEM
        this.#setItems(this.#popMany(2));
        return;
      case 0x75: // SETITEMS
        this.#setItems(this.#popMark());
        return;
      case 0x8f: // EMPTY_SET
        this.#budget.charge(COST.map);
        this.#push(new Set());
        return;
      case 0x90: // ADDITEMS
        this.#addItems(this.#popMark());
        return;
      case 0x91: // FROZENSET
        this.#frozenSet(this.#popMark());
        return;
      case 0x68: // BINGET
        this.#push(this.#recall(this.#uint(1)));
        return;
      case 0x6a: // LONG_BINGET
        this.#push(this.#recall(this.#uint(4)));
        return;
      case 0x71: // BINPUT
        this.#memorize(this.#uint(1));
        return;
      case 0x72: // LONG_BINPUT
        this.#memorize(this.#uint(4));
        return;
      case 0x94: // MEMOIZE
        this.#memorize(this.#memo.size);
        return;
      case 0x63: // GLOBAL
        this.#push(this.#globals.find(`${this.#line()}.${this.#line()}`));
        return;
      case 0x93: // STACK_GLOBAL
        this.#stackGlobal();
        return;
      case 0x52: // REDUCE
      case 0x81: // NEWOBJ
        this.#reduce();
        return;
      case 0x92: // NEWOBJ_EX
        if (!isEmpty(this.#pop())) this.#refuseNames();
        this.#reduce();
        return;
      case 0x62: {
        // BUILD
        const state = this.#pop();
        this.#globals.setState(this.#top(), state);
        return;
      }
      case 0x51: // BINPERSID
        this.#push(this.#globals.persistent(this.#pop()));
        return;
      default:
        throw this.#fail(
          `refused the opcode 0x${opcode.toString(16).padStart(2, '0')}: no state dict needs it`,
        );
    }
  }

  #push(item: PickleItem): void {
    this.#stack.push(item);
    if (this.#stack.length > this.#highest) {
      this.#highest = this.#stack.length;
      this.#budget.charge(COST.slot);
    }
  }

  /** The top of the stack, above the innermost mark. */
  #top(): PickleItem {
    const height = this.#stack.length;
    if (height === 0 || height === this.#marks.at(-1))
      throw this.#fail('it takes more from its stack than is there');
    return this.#stack[height - 1] as PickleItem;
  }

  #pop(): PickleItem {
    const item = this.#top();
    this.#stack.pop();
    return item;
  }

  #popMany(count: number): PickleItem[] {
    const height = this.#stack.length - count;
    if (height < (this.#marks.at(-1) ?? 0)) throw this.#fail('it takes more from its stack than is there');
    return this.#stack.splice(height, count);
  }

  #popMark(): PickleItem[] {
    const height = this.#marks.pop();
    if (height === undefined) throw this.#fail('it closes a mark that was never opened');
    return this.#stack.splice(height);
  }

  #array(items: PickleItem[]): PickleItem[] {
    this.#budget.charge(COST.array + COST.slot * items.length);
    return items;
  }

  #append(items: PickleItem[]): void {
    const list = this.#top();
    if (isOpaque(list)) return;
    if (!Array.isArray(list)) throw this.#fail('it appends to something that is not a list');
    this.#budget.charge(COST.slot * items.length);
    for (const item of items) list.push(item);
  }

  #dict(): void {
    const items = this.#popMark();
    this.#budget.charge(COST.map);
    this.#push(new Map());
    this.#setItems(items);
  }

  #setItems(items: PickleItem[]): void {
    const dict = this.#top();
    if (isOpaque(dict)) return;
    if (!(dict instanceof Map) || items.length % 2 !== 0) {
      throw this.#fail('it sets items of something that is not a dictionary, or a key without a value');
    }
    this.#budget.charge(COST.entry * (items.length / 2));
    for (let index = 0; index < items.length; index += 2) {
      dict.set(this.#globals.key(items[index]), items[index + 1] as PickleItem);
    }
  }

  #addItems(items: PickleItem[]): void {
    const set = this.#top();
    if (isOpaque(set)) return;
    if (!(set instanceof Set)) throw this.#fail('it adds items to something that is not a set');
    this.#budget.charge(COST.entry * items.length);
    for (const item of items) set.add(this.#globals.key(item));
  }

  #frozenSet(items: PickleItem[]): void {
    this.#budget.charge(COST.map);
    this.#push(new Set());
    this.#addItems(items);
  }

  #recall(index: number): PickleItem {
    const item = this.#memo.get(index);
    if (item === undefined) throw this.#fail(`it recalls number ${index}, which it never stored`);
    return item;
  }

  #memorize(index: number): void {
    this.#budget.charge(COST.entry);
    this.#memo.set(index, this.#top());
  }

  #stackGlobal(): void {
    const [module, name] = this.#popMany(2);
    if (typeof module !== 'string' || typeof name !== 'string')
      throw this.#fail('it names a class without text');
    this.#push(this.#globals.find(`${module}.${name}`));
  }

  #reduce(): void {
    const args = this.#pop();
    const callable = this.#pop();
    this.#push(this.#globals.call(callable, args));
  }

  /** Arguments by name: none of the classes that are ours takes them. */
  #refuseNames(): void {
    const [callable] = this.#stack.slice(-2);
    if (!isOpaque(callable)) throw this.#fail('refused to call a known class with arguments by name');
  }

  #take(length: number): Buffer {
    const end = this.position + length;
    if (!(end <= this.#bytes.length)) {
      throw new TruncatedPickleError(`${this.#source}: the pickle is cut short at byte ${this.position}`);
    }
    const taken = this.#bytes.subarray(this.position, end);
    this.position = end;
    return taken;
  }

  /** Little-endian; of 8 bytes, what is over 2^53 is inexact, which as a length is out of bounds all the same. */
  #uint(width: 1 | 2 | 4 | 8): number {
    if (width === 8) return Number(this.#take(8).readBigUInt64LE());
    if (width > 1) return this.#take(width).readUIntLE(0, width);
    const byte = this.#bytes[this.position];
    if (byte === undefined) this.#take(1);
    this.position++;
    return byte as number;
  }

  /** Two's complement, little-endian. */
  #integer(length: number): number | bigint {
    if (length > MAX_INTEGER_BYTES) throw this.#fail(`an integer has ${length} bytes`);
    if (length === 0) return 0;
    const bytes = Buffer.from(this.#take(length)).reverse();
    const value = BigInt.asIntN(8 * length, BigInt(`0x${bytes.toString('hex')}`));
    const number = Number(value);
    if (Number.isSafeInteger(number)) return number;
    this.#budget.charge(COST.text + length);
    return value;
  }

  #string(length: number): string {
    const bytes = this.#take(length);
    this.#budget.charge(COST.text + 2 * length);
    if (isUtf8(bytes)) return bytes.toString('utf8');
    const text = decodeSurrogates(bytes);
    if (text === null) throw this.#fail('a string is not UTF-8');
    return text;
  }

  /** Python 2 had one type for text and bytes. */
  #oldString(length: number): string | Uint8Array {
    const bytes = this.#take(length);
    if (!isUtf8(bytes)) return this.#copy(bytes);
    this.#budget.charge(COST.text + 2 * length);
    return bytes.toString('utf8');
  }

  #binary(length: number): Uint8Array {
    return this.#copy(this.#take(length));
  }

  #copy(bytes: Buffer): Uint8Array {
    this.#budget.charge(COST.map + bytes.length);
    return new Uint8Array(bytes);
  }

  #line(): string {
    const end = this.#bytes.indexOf(NEWLINE, this.position);
    if (end < 0) {
      this.position = this.#bytes.length;
      this.#take(1);
    }
    const line = this.#take(end + 1 - this.position);
    return line.toString('utf8', 0, line.length - 1);
  }

  #fail(message: string): SerializationError {
    return new SerializationError(
      `${this.#source}: the pickle is refused at byte ${this.position}: ${message}`,
    );
  }
}

const isOpaque = (item: PickleItem | undefined) => isReference(item) && item.kind === 'opaque';

const isEmpty = (item: PickleItem) => item instanceof Map && item.size === 0;

/**
 * UTF-8 that may hold lone surrogates: so Python writes what is left of file names that are not UTF-8 (its
 * 'surrogatepass'). Null for anything else.
 */
function decodeSurrogates(bytes: Buffer): string | null {
  let text = '';
  let done = 0;
  const isSurrogate = (at: number) => (bytes[at + 1] ?? 0) >= 0xa0 && (bytes[at + 2] ?? 0) >> 6 === 2;
  for (let at = bytes.indexOf(0xed); at >= 0; at = bytes.indexOf(0xed, at + 1)) {
    if (!isSurrogate(at)) continue;
    const piece = bytes.subarray(done, at);
    if (!isUtf8(piece)) return null;
    const unit = 0xd000 | (((bytes[at + 1] ?? 0) & 63) << 6) | ((bytes[at + 2] ?? 0) & 63);
    text += piece.toString('utf8') + String.fromCharCode(unit);
    done = at + 3;
  }
  const rest = bytes.subarray(done);
  return isUtf8(rest) ? text + rest.toString('utf8') : null;
}
