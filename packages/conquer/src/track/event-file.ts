import { appendFileSync, existsSync, mkdirSync, readdirSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { bytes, double, type Fields, float, integer, message, string } from '../protobuf.js';
import { maskedCrc32c } from './crc32c.js';
import type { Scalars } from './scalars.js';

/** A picture for TensorBoard's Images tab. */
export interface EventImage {
  width: number;
  height: number;
  /** A PNG file. */
  png: Uint8Array;
}

/** A frame of a TFRecord file: length, its checksum, data, its checksum. */
function frame(data: Uint8Array): Buffer {
  const header = Buffer.alloc(12);
  header.writeBigUInt64LE(BigInt(data.length));
  header.writeUInt32LE(maskedCrc32c(header.subarray(0, 8)), 8);
  const footer = Buffer.alloc(4);
  footer.writeUInt32LE(maskedCrc32c(data));
  return Buffer.concat([header, data, footer]);
}

/** One more file of a log folder must not have the name of another. */
const fileName = (index: number) =>
  `events.out.tfevents.${Math.floor(Date.now() / 1000)}.${hostname()}.${process.pid}.${index}`;

/**
 * An event file of TensorBoard: a TFRecord file of tensorflow.Event messages (tensorflow/core/util/event.proto, field
 * numbers beside each). Each event is in the file when the method returns.
 */
export class EventFile {
  readonly path: string;

  /** The new file holds all: a TensorBoard that is reading an older file of the folder just now forgets what it had. */
  constructor(folder: string) {
    mkdirSync(folder, { recursive: true });
    this.path = join(folder, fileName((performance.now() * 1000) | 0));
    this.write([string(3, 'brain.Event:2')]); // file_version
    // session_log: START, from step 0 on. TensorBoard heeds it from the second that it reads of a folder on.
    this.write([integer(2, 0), message(7, [integer(1, 1)])]);
  }

  /** The event files of a folder; none where it is not there. */
  static in(folder: string): string[] {
    if (!existsSync(folder)) return [];
    const names = readdirSync(folder).filter((name) => name.startsWith('events.out.tfevents.'));
    return names.map((name) => join(folder, name));
  }

  /** Scalars by tag, all at one step. */
  scalars(values: Scalars, step: number): void {
    // Summary.Value: tag, simple_value
    const entries = Object.entries(values).map(([tag, value]) =>
      message(1, [string(1, tag), float(2, value)]),
    );
    if (entries.length > 0) this.write([integer(2, step), message(5, entries)]);
  }

  image(tag: string, { width, height, png }: EventImage, step: number): void {
    // Summary.Image: height, width, colorspace (3: RGB), encoded_image_string
    const image = [integer(1, height), integer(2, width), integer(3, 3), bytes(4, png)];
    this.write([integer(2, step), message(5, [message(1, [string(1, tag), message(4, image)])])]);
  }

  /** Text for the Text tab, in Markdown. */
  text(tag: string, text: string, step: number): void {
    // SummaryMetadata: plugin_data (plugin_name); TensorProto: dtype (7: string), tensor_shape (dim: size), string_val
    const metadata = message(9, [message(1, [string(1, 'text')])]);
    const tensor = message(8, [integer(1, 7), message(2, [message(2, [integer(1, 1)])]), string(8, text)]);
    this.write([integer(2, step), message(5, [message(1, [string(1, tag), metadata, tensor])])]);
  }

  private write(fields: Fields): void {
    const event = Buffer.concat([double(1, Date.now() / 1000), ...fields]); // wall_time
    appendFileSync(this.path, frame(event));
  }
}
