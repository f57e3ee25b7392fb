import type { Activation } from '../../layers/activation.js';

/** What a vision transformer is made of; what is left out is as in the first ones (Dosovitskiy et al., arXiv 2010.11929). */
export interface ViTShape {
  /** Side of a patch, in pixels. */
  patch: number;
  /** Side of the images that the positions were learned for, in pixels. */
  size: number;
  /** Channels of a token. */
  width: number;
  depth: number;
  heads: number;
  /** Channels within a block's MLP; four times the width when left out. */
  mlp?: number;
  /** Default true. */
  classToken?: boolean;
  /** Tokens that belong to no patch, beside the class token; default 0. */
  registers?: number;
  /** Whether class token and registers have a position, too; default true. */
  prefixPositions?: boolean;
  /** Whether queries, keys and values have a bias; default true. */
  qkvBias?: boolean;
  /** A learned factor for each channel of what a block adds; default false. */
  layerScale?: boolean;
  /** A LayerNorm in front of the blocks, as CLIP has it; the patches then have no bias. Default false. */
  preNorm?: boolean;
  /** Default 'gelu'. */
  activation?: Activation;
  /** Added to variances; default 1e-6. */
  eps?: number;
  /** What of the tokens is the feature, after the last norm; default 'token'. */
  pool?: 'token' | 'avg' | 'map';
  /** Whether positions are resampled with antialiasing, as timm does; transformers does not. Default true. */
  antialias?: boolean;
  /** A linear layer behind the feature, into the space that an image shares with its text; default none. */
  projection?: { dim: number; bias: boolean } | null;
}
