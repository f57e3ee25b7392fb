// A file as usearch 2 writes one of a graph over rows of int8 or float16. Plain JavaScript, as hostile-calls.mjs is.

/**
 * @param rows of numbers, all of one length, as they are to be in the file: whole ones of int8, or the bits of float16
 * @param nodes of each row its key and its links, a list for each layer that it is in, the lowest first
 * @returns its bytes
 */
export function graphFile({ rows, nodes, scalar = 'i8', links = 2, lowestLinks = 4, entry = 0 }) {
  const dimensions = rows[0].length;
  const width = scalar === 'i8' ? 1 : 2;
  const room = (layer) => 4 * (1 + (layer === 0 ? lowestLinks : links));
  const sizes = nodes.map(({ layers }) => layers.reduce((sum, _, layer) => sum + room(layer), 10));
  const vectors = 8 + rows.length * dimensions * width;
  const levels = vectors + 64 + 40;
  const bytes = new Uint8Array(levels + 2 * rows.length + sizes.reduce((sum, size) => sum + size, 0));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, rows.length, true);
  view.setUint32(4, dimensions * width, true);
  for (const [i, row] of rows.entries())
    for (const [at, number] of row.entries()) {
      if (width === 1) view.setInt8(8 + i * dimensions + at, number);
      else view.setUint16(8 + 2 * (i * dimensions + at), number, true);
    }
  bytes.set(Buffer.from('usearch'), vectors);
  view.setUint16(vectors + 7, 2, true);
  bytes.set([105, scalar === 'i8' ? 23 : 12, 14, 15], vectors + 13);
  view.setBigUint64(vectors + 17, BigInt(rows.length), true);
  view.setBigUint64(vectors + 33, BigInt(dimensions), true);
  const top = Math.max(...nodes.map(({ layers }) => layers.length - 1));
  for (const [i, number] of [rows.length, links, lowestLinks, top, entry].entries())
    view.setBigUint64(vectors + 64 + 8 * i, BigInt(number), true);
  let at = levels + 2 * rows.length;
  for (const [i, { key = i, layers }] of nodes.entries()) {
    view.setInt16(levels + 2 * i, layers.length - 1, true);
    view.setBigUint64(at, BigInt(key), true);
    view.setInt16(at + 8, layers.length - 1, true);
    let from = at + 10;
    for (const [layer, to] of layers.entries()) {
      view.setUint32(from, to.length, true);
      for (const [place, row] of to.entries()) view.setUint32(from + 4 * (place + 1), row, true);
      from += room(layer);
    }
    at += sizes[i];
  }
  return bytes;
}
