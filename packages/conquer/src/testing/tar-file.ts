import { writeFileSync } from 'node:fs';

/** A member of a tar archive, as tests write it. */
export interface TarEntry {
  name: string;
  data?: string | Uint8Array;
  /** Default '0', a file. */
  type?: string;
  /** What is written as its size; default that of its data. */
  size?: string;
}

/** The 512 bytes of a header, and the data in whole blocks. */
export function tarEntry({ name, data = '', type = '0', size }: TarEntry): Buffer {
  const bytes = Buffer.from(data);
  const header = Buffer.alloc(512);
  header.write(name, 0, 100);
  header.write('0000644\0', 100);
  header.write(size ?? `${bytes.length.toString(8).padStart(11, '0')}\0`, 124, 'latin1');
  header.write(type, 156);
  header.write('ustar\x0000', 257, 'latin1');
  header.fill(' ', 148, 156);
  const sum = header.reduce((all, byte) => all + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return Buffer.concat([header, bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)]);
}

/** Writes an archive with the two blocks of zeros at its end. */
export function writeTar(file: string, entries: readonly TarEntry[]): void {
  writeFileSync(file, Buffer.concat([...entries.map(tarEntry), Buffer.alloc(1024)]));
}
