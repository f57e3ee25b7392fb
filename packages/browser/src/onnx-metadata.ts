// An ONNX file is a protobuf message of type ModelProto. onnxruntime-web does not give its metadata, so that they are read here.

/** Of ModelProto. */
const METADATA_PROPS = 14;
const LENGTH_DELIMITED = 2;
/** Bytes of a field of fixed length, by its wire type. */
const FIXED: Record<number, number> = { 1: 8, 5: 4 };

/** The metadata of an ONNX file; null: the bytes are none. */
export function onnxMetadata(bytes: Uint8Array): Map<string, string> | null {
  const found = new Map<string, string>();
  for (const field of fieldsOf(bytes)) {
    if (field === null) return null;
    if (field.number !== METADATA_PROPS) continue;
    // StringStringEntryProto: 1 key, 2 value.
    const texts = ['', ''];
    for (const part of fieldsOf(field.value)) {
      if (part === null) return null;
      texts[part.number - 1] = new TextDecoder().decode(part.value);
    }
    found.set(texts[0]!, texts[1]!);
  }
  return found;
}

/** The fields of a message that have a length; null, once, where it is none. */
function* fieldsOf(bytes: Uint8Array): Generator<{ number: number; value: Uint8Array } | null> {
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let factor = 1; at < bytes.length; factor *= 128) {
      const byte = bytes[at++]!;
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
    return Number.NaN;
  };
  while (at < bytes.length) {
    const key = varint();
    const [number, wire] = [Math.floor(key / 8), key % 8];
    const length =
      wire === LENGTH_DELIMITED ? varint() : (FIXED[wire] ?? (wire === 0 ? varint() * 0 : Number.NaN));
    if (!(number > 0 && at + length <= bytes.length)) return yield null;
    if (wire === LENGTH_DELIMITED) yield { number, value: bytes.subarray(at, at + length) };
    at += length;
  }
}
