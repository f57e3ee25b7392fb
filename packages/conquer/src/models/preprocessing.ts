import { type Preprocessing, resizesWhole } from '@conquer-dml/run';
import { type InputFormat, usualInput } from './input-format.js';

/** How images are read; what is left out is as the backbone's `input` says. */
export interface Reading {
  /** Side of what the network sees, in pixels. */
  size?: number | undefined;
  /** Short side before the centre is cut out, in pixels. */
  resize?: number | null | undefined;
  /**
   * Whether images are reduced to `resize` before anything is cut out of them, as a cache of decoded images holds them: to
   * a square, or to that short side. null or left out: they are not.
   */
  reduced?: 'square' | 'short side' | null | undefined;
}

/** The short side of which so large a square is cut out; where nothing is said of the share, as 224 of 256. */
export function shortSideFor(
  size: number,
  cropShare: number = usualInput.cropShare,
  rounding: 'nearest' | 'down' = usualInput.rounding,
): number {
  return rounding === 'down' ? Math.floor(size / cropShare) : Math.round(size / cropShare);
}

/** What a network on a backbone of this input is given of an image that nothing is drawn for. */
export function preprocessingFor(
  input: InputFormat,
  { size = input.size, resize: given, reduced = null }: Reading = {},
): Preprocessing {
  const { channels, scale, mean, std, interpolation, cropShare, rounding, squash, centre } = {
    ...usualInput,
    ...input,
  };
  const resize = given ?? shortSideFor(size, cropShare, rounding);
  return {
    size,
    resize,
    ...(squash && { squash }),
    ...(centre && { centre }),
    reduction: reduced && {
      size: resize,
      square: reduced === 'square',
      // Of an image that is reduced this way evaluation sees what it sees of the file.
      ...(reduced === 'short side' &&
        resizesWhole({ input: { interpolation }, squash, centre }) && { filter: interpolation, squash }),
    },
    input: { channels, scale, mean, std, interpolation },
  };
}
