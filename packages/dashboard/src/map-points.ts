import type { LearnerChoice, MapPoints } from './api.js';

// A map on its way to the page: the length of a JSON header (uint32), the header, which ends at a multiple of 4, and the columns
// one after the other, little-endian as all machines here are. Page and server share this file.

const HEADER = 4;

interface Header {
  version: string;
  epoch: number;
  learner: LearnerChoice;
  points: number;
}

export function packMap(map: MapPoints): Uint8Array<ArrayBuffer> {
  const { version, epoch, learner, x, y, labels, clusters, nearest, correct } = map;
  const header: Header = { version, epoch, learner, points: x.length };
  const text = new TextEncoder().encode(JSON.stringify(header));
  const start = HEADER + 4 * Math.ceil(text.length / 4);
  const columns = [x, y, labels, clusters, nearest, correct];
  const bytes = new Uint8Array(start + columns.reduce((sum, { byteLength }) => sum + byteLength, 0));
  new DataView(bytes.buffer).setUint32(0, start - HEADER, true);
  bytes.fill(0x20, HEADER, start);
  bytes.set(text, HEADER);
  let at = start;
  for (const { buffer, byteOffset, byteLength } of columns) {
    bytes.set(new Uint8Array(buffer, byteOffset, byteLength), at);
    at += byteLength;
  }
  return bytes;
}

export function unpackMap(bytes: ArrayBuffer): MapPoints {
  const length = new DataView(bytes).getUint32(0, true);
  const text = new TextDecoder().decode(new Uint8Array(bytes, HEADER, length));
  const { version, epoch, learner, points } = JSON.parse(text) as Header;
  const column = (place: number) => HEADER + length + 4 * points * place;
  return {
    version,
    epoch,
    learner,
    x: new Float32Array(bytes, column(0), points),
    y: new Float32Array(bytes, column(1), points),
    labels: new Int32Array(bytes, column(2), points),
    clusters: new Int32Array(bytes, column(3), points),
    nearest: new Int32Array(bytes, column(4), points),
    correct: new Int8Array(bytes, column(5), points),
  };
}
