// One small piece of work of each addon, whose result is known: that they load does not say that they compute.

/** The first difference between what a computation gave and what it should have, in words; null where there is none. */
type Wrong = string | null;

/** Numbers that are small integers, so that float32 holds every sum of their products, in whatever order. */
const numbers = (count: number, modulus: number) =>
  Float32Array.from({ length: count }, (_, i) => ((i * 7) % modulus) - (modulus >> 1));

const [IMAGES, CHANNELS, FILTERS, SIDE, WINDOW] = [2, 16, 8, 12, 3] as const;

/** The convolution of images (IMAGES, CHANNELS, SIDE, SIDE) by filters (FILTERS, CHANNELS, WINDOW, WINDOW), by its definition. */
function convolved(x: Float32Array, w: Float32Array): Float32Array {
  const side = SIDE - WINDOW + 1;
  const out = new Float32Array(IMAGES * FILTERS * side * side);
  for (let at = 0; at < out.length; at++) {
    const [column, row] = [at % side, Math.floor(at / side) % side];
    const [filter, image] = [Math.floor(at / side / side) % FILTERS, Math.floor(at / side / side / FILTERS)];
    for (let c = 0; c < CHANNELS; c++)
      for (let i = 0; i < WINDOW * WINDOW; i++) {
        const y = row + Math.floor(i / WINDOW);
        const pixel = x[((image * CHANNELS + c) * SIDE + y) * SIDE + column + (i % WINDOW)]!;
        out[at]! += pixel * w[(filter * CHANNELS + c) * WINDOW * WINDOW + i]!;
      }
  }
  return out;
}

/** Lets libtorch compute one convolution. @throws what the engine throws */
export async function tryConvolution(): Promise<Wrong> {
  const { F, scope, tensor } = await import('@conquer-dml/torch');
  const x = numbers(IMAGES * CHANNELS * SIDE * SIDE, 11);
  const w = numbers(FILTERS * CHANNELS * WINDOW * WINDOW, 5);
  const expected = convolved(x, w);
  return scope(() => {
    const images = tensor(x, { shape: [IMAGES, CHANNELS, SIDE, SIDE] });
    const filters = tensor(w, { shape: [FILTERS, CHANNELS, WINDOW, WINDOW] });
    const actual = F.conv2d(images, filters).toTypedArray();
    const at = expected.findIndex((value, i) => actual[i] !== value);
    return at < 0 ? null : `a convolution gave ${actual[at]} for ${expected[at]}`;
  });
}

/** A JPEG of 16 × 16 pixels, all of COLOUR. */
const JPEG =
  '/9j/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4RDgsLEBYQERMUFRUVDA8XGBYUGBIUFRT/2wBDAQMEBAUEBQkFBQkUDQsNFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBT/wAARCAAQABADASIAAhEBAxEB/8QAFQABAQAAAAAAAAAAAAAAAAAAAAT/xAAUEAEAAAAAAAAAAAAAAAAAAAAA/8QAFQEBAQAAAAAAAAAAAAAAAAAABwj/xAAUEQEAAAAAAAAAAAAAAAAAAAAA/9oADAMBAAIRAxEAPwCQAHqQf//Z';
const COLOUR = [200, 100, 50] as const;

/** Lets the image addon decode one JPEG. @throws what it throws */
export async function tryDecoding(): Promise<Wrong> {
  const { decodeImages } = await import('@conquer-dml/image');
  const out = new Uint8Array(8 * 8 * 3);
  await decodeImages([{ image: Buffer.from(JPEG, 'base64'), size: { width: 8, height: 8 } }], out);
  const at = out.findIndex((value, i) => Math.abs(value - COLOUR[i % 3]!) > 3);
  return at < 0 ? null : `a JPEG of the colour ${COLOUR.join(', ')} gave ${out[at]} at place ${at}`;
}
