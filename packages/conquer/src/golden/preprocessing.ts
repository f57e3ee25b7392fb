import { ImageFiles } from '@conquer-dml/image';
import { CropSource } from '../data/crop-source.js';
import { evaluationView } from '../data/view.js';
import { createBackbone } from '../models/create-model.js';
import type { InputFormat } from '../models/input-format.js';
import { preprocessingFor } from '../models/preprocessing.js';
import { Random } from '../random.js';
import {
  Comparison,
  GoldenFormatError,
  readCases,
  readNumber,
  readNumbers,
  readObject,
  type SlowGoldenCheck,
} from './check.js';
import { knownNetwork } from './known-network.js';
import { goldenPicture } from './picture.js';

/** What a network of this input is given of the picture: size×size×3 bytes of RGB. */
export async function seenOf(
  input: InputFormat,
  [width, height]: readonly [number, number],
  cell: number,
): Promise<{ bytes: number[]; size: number }> {
  const { cropping } = evaluationView(preprocessingFor(input));
  const images = new ImageFiles([{ width, height, data: goldenPicture(width, height, cell) }]);
  const source = new CropSource({ images, cropping });
  using pixels = await source.read(Int32Array.of(0), new Random(0), new AbortController().signal);
  return { bytes: Array.from(pixels.toNumbers()), size: cropping.size };
}

/** preprocessing.json: the pixels that timm's evaluation makes of a picture, to a byte more or less. */
export const checkPreprocessing: SlowGoldenCheck = async (cases) => {
  const comparison = new Comparison(0);
  for (const [i, item] of readCases(cases).entries()) {
    const timm = knownNetwork(comparison, item, 'timm', i);
    if (timm === null) continue;
    const picture = readObject(item.picture, `picture of case ${i}`);
    const [width, height, cell] = ['width', 'height', 'cell'].map((key) => readNumber(picture[key], key));
    using backbone = createBackbone(timm, { device: 'meta' });
    const { bytes, size } = await seenOf(backbone.input, [width as number, height as number], cell as number);
    const middle = Math.floor(size / 2);
    const wanted = (field: string) => {
      const channels = item[field];
      if (!Array.isArray(channels))
        throw new GoldenFormatError(`expected ${field} of three channels in case ${i}`);
      return channels.map((channel) => readNumbers(channel, field));
    };
    const lines = {
      middleRow: (channel: number, at: number) => bytes[(middle * size + at) * 3 + channel] as number,
      middleColumn: (channel: number, at: number) => bytes[(at * size + middle) * 3 + channel] as number,
    };
    for (const [field, byteAt] of Object.entries(lines)) {
      const off = wanted(field).flatMap((bytesOf, channel) =>
        bytesOf.map((byte, at) => Math.abs(byte - byteAt(channel, 4 * at))),
      );
      const apart = off.filter((difference) => difference > 1);
      comparison.same(`${timm} ${width}×${height}: ${field}`, apart, []);
    }
  }
  return comparison.result;
};
