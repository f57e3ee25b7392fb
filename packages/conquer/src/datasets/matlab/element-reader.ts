import { MatlabError } from './matlab-error.js';

/** Numbers of the format's data types ("mi…" in its description). */
export const dataType = {
  int8: 1,
  uint8: 2,
  int16: 3,
  uint16: 4,
  int32: 5,
  uint32: 6,
  single: 7,
  double: 9,
  int64: 12,
  uint64: 13,
  matrix: 14,
  compressed: 15,
  utf8: 16,
  utf16: 17,
  utf32: 18,
} as const;

/** A tagged piece of the file. */
export interface Element {
  type: number;
  /** Without tag and padding. */
  data: DataView;
}

type Getter = (view: DataView, at: number, littleEndian: boolean) => number;

const numbers: Readonly<Record<number, [bytes: number, get: Getter]>> = {
  [dataType.int8]: [1, (view, at) => view.getInt8(at)],
  [dataType.uint8]: [1, (view, at) => view.getUint8(at)],
  [dataType.int16]: [2, (view, at, little) => view.getInt16(at, little)],
  [dataType.uint16]: [2, (view, at, little) => view.getUint16(at, little)],
  [dataType.int32]: [4, (view, at, little) => view.getInt32(at, little)],
  [dataType.uint32]: [4, (view, at, little) => view.getUint32(at, little)],
  [dataType.single]: [4, (view, at, little) => view.getFloat32(at, little)],
  [dataType.double]: [8, (view, at, little) => view.getFloat64(at, little)],
  [dataType.int64]: [8, (view, at, little) => Number(view.getBigInt64(at, little))],
  [dataType.uint64]: [8, (view, at, little) => Number(view.getBigUint64(at, little))],
};

/** Reads the tagged elements that follow one another in a piece of a MATLAB v5 file. */
export class ElementReader {
  readonly littleEndian: boolean;
  readonly #view: DataView;
  #position = 0;

  constructor(view: DataView, littleEndian: boolean) {
    this.#view = view;
    this.littleEndian = littleEndian;
  }

  /** Bytes that are left. */
  get remaining(): number {
    return this.#view.byteLength - this.#position;
  }

  /**
   * The next element. A tag is a type and a length, 32 bits each; up to four bytes are packed into the tag itself, whose
   * first half then holds both, 16 bits each. All but compressed elements are padded to a multiple of 8 bytes.
   */
  next(what: string): Element {
    if (this.remaining < 8) throw new MatlabError(`it is cut short in ${what}`);
    const first = this.#view.getUint32(this.#position, this.littleEndian);
    const packedLength = first >>> 16;
    if (packedLength > 0) {
      if (packedLength > 4)
        throw new MatlabError(`${what} claims ${packedLength} bytes where at most 4 can be`);
      const data = this.#slice(this.#position + 4, packedLength);
      this.#position += 8;
      return { type: first & 0xffff, data };
    }
    const length = this.#view.getUint32(this.#position + 4, this.littleEndian);
    if (length > this.remaining - 8) {
      throw new MatlabError(
        `${what} claims ${length} bytes, ${this.remaining - 8} are left: it is cut short`,
      );
    }
    const data = this.#slice(this.#position + 8, length);
    const padded = first === dataType.compressed ? length : Math.ceil(length / 8) * 8;
    this.#position = Math.min(this.#position + 8 + padded, this.#view.byteLength);
    return { type: first, data };
  }

  /** The numbers of an element. */
  numbers({ type, data }: Element, what: string): Float64Array {
    const [bytes, get] = numbers[type] ?? [0, null];
    if (get === null) throw new MatlabError(`${what} has data of type ${type}, expected numbers`);
    if (data.byteLength % bytes !== 0) {
      throw new MatlabError(`${what} has ${data.byteLength} bytes, not a multiple of ${bytes}`);
    }
    const values = new Float64Array(data.byteLength / bytes);
    for (let i = 0; i < values.length; i++) values[i] = get(data, i * bytes, this.littleEndian);
    return values;
  }

  #slice(start: number, length: number): DataView {
    return new DataView(this.#view.buffer, this.#view.byteOffset + start, length);
  }
}
