/** A message's fields, each encoded. */
export type Fields = Uint8Array[];

/** Base-128, low groups first; up to 2^53. */
function varint(value: number): number[] {
  const bytes: number[] = [];
  let left = value;
  while (left >= 128) {
    bytes.push((left % 128) | 128);
    left = Math.floor(left / 128);
  }
  bytes.push(left);
  return bytes;
}

function fixed(field: number, wire: 1 | 5, write: (view: DataView) => void): Uint8Array {
  const view = new DataView(new ArrayBuffer(wire === 1 ? 8 : 4));
  write(view);
  return Uint8Array.from([...varint(field * 8 + wire), ...new Uint8Array(view.buffer)]);
}

/** int32, int64, enum: no negative ones. */
export const integer = (field: number, value: number): Uint8Array =>
  Uint8Array.from([...varint(field * 8), ...varint(value)]);

export const float = (field: number, value: number): Uint8Array =>
  fixed(field, 5, (view) => view.setFloat32(0, value, true));

export const double = (field: number, value: number): Uint8Array =>
  fixed(field, 1, (view) => view.setFloat64(0, value, true));

export function bytes(field: number, value: Uint8Array): Uint8Array {
  return Buffer.concat([Uint8Array.from([...varint(field * 8 + 2), ...varint(value.length)]), value]);
}

export const string = (field: number, value: string): Uint8Array => bytes(field, Buffer.from(value, 'utf8'));

/** A message within a message, in parts that are not copied: what is in it may be large. */
export function parts(field: number, fields: Fields): Fields {
  const size = fields.reduce((sum, { length }) => sum + length, 0);
  return [Uint8Array.from([...varint(field * 8 + 2), ...varint(size)]), ...fields];
}

/** A message within a message. */
export const message = (field: number, fields: Fields): Uint8Array => bytes(field, Buffer.concat(fields));
