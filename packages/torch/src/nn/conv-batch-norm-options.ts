import type { Tensor } from '../tensor.js';

/** Zeros around maps, as a convolution with the same number of them on both sides cannot add them. */
export interface Zeros {
  top: number;
  bottom: number;
  left: number;
  right: number;
}

/** What stands around the two layers. */
export interface ConvBatchNormOptions {
  /** Zeros that x gets first; default none but the convolution's own. */
  zeros?: Zeros | null;
  /** Of the output's shape, what is added to it, as a shortcut is; default nothing. */
  added?: Tensor | null;
  /** Of the sum; default none. */
  activation?: 'relu' | 'relu6' | null;
}

/** Between which numbers an activation keeps a sum. */
export const limits = { none: [-Infinity, Infinity], relu: [0, Infinity], relu6: [0, 6] } as const;
