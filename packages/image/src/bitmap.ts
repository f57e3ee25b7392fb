/** A picture of Windows' BMP format, decoded. */
export interface Bitmap {
  width: number;
  height: number;
  /** H×W×3 bytes of RGB, from the top; what is transparent lies over white. */
  pixels: Uint8Array;
}

/** Why a BMP file cannot be read, in words. */
export class BitmapError extends Error {
  override readonly name = 'BitmapError';
}

interface Header {
  width: number;
  height: number;
  /** Rows from the top; usually they come from the bottom. */
  topDown: boolean;
  bits: number;
  compression: number;
  /** Where the header, and the masks behind it, end: the palette begins. */
  end: number;
  /** Where the pixels begin. */
  start: number;
  /** Bits of red, green, blue and alpha in a pixel of 16 or 32 bits. */
  masks: [number, number, number, number];
  /** Colours of the palette, 0: as many as there can be. */
  colours: number;
  /** Bytes of a colour of the palette. */
  colourBytes: 3 | 4;
}

/** Bytes that hold every header, and the masks. */
export const BITMAP_HEADER_BYTES = 14 + 124;

const compressions = { none: 0, rle8: 1, rle4: 2, masks: 3, masksWithAlpha: 6 } as const;
/** Sizes of the headers: OS/2's, Windows' first to fifth. */
const headerSizes = [12, 16, 40, 52, 56, 64, 108, 124];

/**
 * Width and height by the header.
 *
 * @param bytes of the beginning of a file, BITMAP_HEADER_BYTES of them or all
 * @returns null where it is no BMP file
 * @throws BitmapError where its header is damaged
 */
export function bitmapSize(bytes: Uint8Array): { width: number; height: number } | null {
  return readHeader(bytes);
}

/**
 * Decodes a BMP file of 1 to 32 bits a pixel: palettes, 16 and 32 bits by masks, run lengths, rows in either order.
 *
 * @param bytes of the file
 * @param pixelLimit pixels beyond which it is refused
 * @returns null where it is no BMP file
 * @throws BitmapError where it is damaged, too large, or holds a JPEG or PNG
 */
export function decodeBitmap(bytes: Uint8Array, pixelLimit: number): Bitmap | null {
  const header = readHeader(bytes);
  if (!header) return null;
  const { width, height, bits, compression } = header;
  if (width * height > pixelLimit)
    throw new BitmapError(`it holds more than ${pixelLimit} pixels, which is the limit`);
  const palette = bits <= 8 ? readPalette(bytes, header) : null;
  if (compression === compressions.rle8 || compression === compressions.rle4) {
    // Two bytes fill 255 pixels at most: a few bytes that say that they are a large picture take no room.
    if (width * height > 128 * (bytes.length - header.start))
      throw new BitmapError('its run lengths leave most of it empty');
    const pixels = new Uint8Array(width * height * 3);
    paint(pixels, runLengths(bytes, header), palette ?? new Uint8Array(), header);
    return { width, height, pixels };
  }
  const stride = Math.ceil((width * bits) / 32) * 4;
  // Asked before the room is taken: a small file may say that it is large.
  if (header.start + stride * (height - 1) + Math.ceil((width * bits) / 8) > bytes.length)
    throw new BitmapError('it is cut short');
  const pixels = new Uint8Array(width * height * 3);
  if (palette) paint(pixels, indices(bytes, header, stride), palette, header);
  else if (bits === 24) copyColours(pixels, bytes, header, stride);
  else maskColours(pixels, bytes, header, stride);
  return { width, height, pixels };
}

function readHeader(bytes: Uint8Array): Header | null {
  if (bytes.length < 26 || bytes[0] !== 0x42 || bytes[1] !== 0x4d) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const size = view.getUint32(14, true);
  if (!headerSizes.includes(size)) return null;
  const old = size === 12;
  if (bytes.length < 14 + size) throw new BitmapError('it is cut short');
  const width = old ? view.getUint16(18, true) : view.getInt32(18, true);
  const rows = old ? view.getUint16(20, true) : view.getInt32(22, true);
  const bits = view.getUint16(old ? 24 : 28, true);
  const compression = size >= 40 ? view.getUint32(30, true) : compressions.none;
  const height = Math.abs(rows);
  if (width < 1 || height < 1) throw new BitmapError('its header says that it has no pixels');
  const { none, rle8, rle4, masks: byMasks, masksWithAlpha } = compressions;
  const known: Record<number, number[]> = {
    [none]: [1, 2, 4, 8, 16, 24, 32],
    [rle8]: [8],
    [rle4]: [4],
    [byMasks]: [16, 32],
    [masksWithAlpha]: [16, 32],
  };
  if (!known[compression]?.includes(bits))
    throw new BitmapError(`its kind of BMP is not read: ${bits} bits a pixel, compression ${compression}`);
  const masked = compression === byMasks || compression === masksWithAlpha;
  // Of the first Windows header the masks follow it; later ones have them inside, at the same place.
  const masksBehind = masked && size === 40 ? (compression === masksWithAlpha ? 16 : 12) : 0;
  const end = 14 + size + masksBehind;
  if (bytes.length < end) throw new BitmapError('it is cut short');
  const masks: Header['masks'] = bits === 16 ? [0x7c00, 0x3e0, 0x1f, 0] : [0xff0000, 0xff00, 0xff, 0];
  if (masked) {
    const hasAlpha = size >= 56 || compression === masksWithAlpha;
    for (let i = 0; i < (hasAlpha ? 4 : 3); i++) masks[i] = view.getUint32(54 + 4 * i, true);
  }
  const start = view.getUint32(10, true);
  if (start < end) throw new BitmapError('its pixels would begin in its header');
  const colours = size >= 40 ? view.getUint32(46, true) : 0;
  return {
    width,
    height,
    topDown: rows < 0,
    bits,
    compression,
    end,
    start,
    masks,
    colours,
    colourBytes: size <= 16 && old ? 3 : 4,
  };
}

/** RGB of each index; black where the file has no colour for it. */
function readPalette(bytes: Uint8Array, { bits, end, start, colours, colourBytes }: Header): Uint8Array {
  const most = 2 ** bits;
  const palette = new Uint8Array(most * 3);
  const room = Math.floor((Math.min(start, bytes.length) - end) / colourBytes);
  const count = Math.min(colours === 0 ? most : colours, most, Math.max(0, room));
  for (let colour = 0; colour < count; colour++) {
    const at = end + colour * colourBytes;
    for (let c = 0; c < 3; c++) palette[colour * 3 + c] = bytes[at + 2 - c] as number;
  }
  return palette;
}

/** Row of the file at which a row of the picture stands. */
const fileRow = ({ height, topDown }: Header, row: number) => (topDown ? row : height - 1 - row);

/** An index a pixel, rows in the order of the file. */
function indices(bytes: Uint8Array, { width, height, bits, start }: Header, stride: number): Uint8Array {
  const found = new Uint8Array(width * height);
  const each = 8 / bits;
  const mask = 2 ** bits - 1;
  for (let row = 0; row < height; row++) {
    for (let x = 0; x < width; x++) {
      const byte = bytes[start + row * stride + Math.floor(x / each)] as number;
      found[row * width + x] = (byte >> (8 - bits - (x % each) * bits)) & mask;
    }
  }
  return found;
}

/** The same of run lengths; pixels that they skip have index 0. */
function runLengths(bytes: Uint8Array, { width, height, compression, start }: Header): Uint8Array {
  const found = new Uint8Array(width * height);
  const nibbles = compression === compressions.rle4;
  let [at, x, y] = [start, 0, 0];
  const next = () => {
    if (at >= bytes.length) throw new BitmapError('it is cut short');
    return bytes[at++] as number;
  };
  const put = (index: number) => {
    if (x < width && y < height) found[y * width + x] = index;
    x++;
  };
  while (y < height) {
    const [count, value] = [next(), next()];
    if (count > 0) {
      for (let i = 0; i < count; i++) put(nibbles ? (i % 2 === 0 ? value >> 4 : value & 15) : value);
    } else if (value === 0) {
      [x, y] = [0, y + 1];
    } else if (value === 1) {
      break;
    } else if (value === 2) {
      x += next();
      y += next();
    } else {
      const length = nibbles ? Math.ceil(value / 2) : value;
      for (let i = 0, byte = 0; i < value; i++) {
        if (!nibbles || i % 2 === 0) byte = next();
        put(nibbles ? (i % 2 === 0 ? byte >> 4 : byte & 15) : byte);
      }
      if (length % 2 === 1) next();
    }
  }
  return found;
}

function paint(pixels: Uint8Array, found: Uint8Array, palette: Uint8Array, header: Header): void {
  const { width, height } = header;
  for (let row = 0; row < height; row++) {
    const from = fileRow(header, row) * width;
    for (let x = 0; x < width; x++) {
      const colour = (found[from + x] as number) * 3;
      const to = (row * width + x) * 3;
      for (let c = 0; c < 3; c++) pixels[to + c] = palette[colour + c] as number;
    }
  }
}

function copyColours(pixels: Uint8Array, bytes: Uint8Array, header: Header, stride: number): void {
  const { width, height, start } = header;
  for (let row = 0; row < height; row++) {
    const from = start + fileRow(header, row) * stride;
    for (let x = 0; x < width; x++)
      for (let c = 0; c < 3; c++) pixels[(row * width + x) * 3 + c] = bytes[from + x * 3 + 2 - c] as number;
  }
}

function maskColours(pixels: Uint8Array, bytes: Uint8Array, header: Header, stride: number): void {
  const { width, height, start, bits, masks } = header;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const channels = masks.map((mask) => {
    const shift = mask === 0 ? 0 : Math.log2((mask & -mask) >>> 0);
    return { mask, shift, most: mask >>> shift };
  });
  const read = (row: number, x: number) => {
    const at = start + fileRow(header, row) * stride + (x * bits) / 8;
    return bits === 16 ? view.getUint16(at, true) : view.getUint32(at, true);
  };
  const of = (value: number, { mask, shift, most }: { mask: number; shift: number; most: number }) =>
    most === 0 ? 0 : ((value & mask) >>> shift) / most;
  const [, , , alpha] = channels;
  // Many programs leave alpha 0 everywhere, and mean that nothing is transparent.
  let opaque = !alpha || alpha.mask === 0;
  if (!opaque && alpha) {
    opaque = true;
    for (let row = 0; row < height && opaque; row++)
      for (let x = 0; x < width && opaque; x++) opaque = of(read(row, x), alpha) === 0;
  }
  for (let row = 0; row < height; row++) {
    for (let x = 0; x < width; x++) {
      const value = read(row, x);
      const share = opaque || !alpha ? 1 : of(value, alpha);
      for (let c = 0; c < 3; c++) {
        const channel = channels[c];
        const colour = channel ? of(value, channel) : 0;
        pixels[(row * width + x) * 3 + c] = Math.round(255 * (colour * share + 1 - share));
      }
    }
  }
}
