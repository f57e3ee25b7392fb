import type { RopeShape } from '../../layers/rope.js';

/** What a vision transformer with rotary positions is made of. */
export interface EvaShape {
  /** Side of a patch, in pixels. */
  patch: number;
  /** Side of the images that the learned positions are for, in pixels. */
  size: number;
  /** Channels of a token. */
  width: number;
  depth: number;
  heads: number;
  rope: RopeShape;
  /** Tokens that belong to no patch, beside the class token; default 0. */
  registers?: number;
  /** Learned positions beside the rotary ones, also of the class token; default true. */
  positions?: boolean;
  /**
   * How queries, keys and values come: of one layer without bias, with one, with a bias of queries and values beside it, or of
   * a layer each, the keys' without bias.
   */
  qkv: 'packed' | 'packed-bias' | 'separate-bias' | 'split';
  /** A LayerNorm on what the heads have seen; default false. */
  innerNorm?: boolean;
  /** The MLP: two layers and a GELU, or SwiGLU with gate and value of one layer, of one each, or of one each and a LayerNorm. */
  mlp: 'gelu' | 'swiglu-packed' | 'swiglu' | 'swiglu-norm';
  /** Channels within the MLP. */
  hidden: number;
  /** A learned factor for each channel of what a block adds; default false. */
  layerScale?: boolean;
  /** A LayerNorm in front of the blocks; the patches then have no bias. Default false. */
  preNorm?: boolean;
  /** Added to variances; default 1e-6. */
  eps?: number;
  /** What of the tokens is the feature. */
  pool: 'token' | 'avg' | 'map';
  /** Heads of the pooling by attention. */
  poolHeads?: number;
  /** Whether the last norm is of the mean, rather than of each token; default false. */
  normAfterPool?: boolean;
}
