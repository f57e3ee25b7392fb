/**
 * What a backbone expects of its images: `(scale * pixel / 255 - mean) / std` for each channel, the channels in the
 * order of `channels`.
 */
export interface InputFormat {
  /** Usual side of the square image, in pixels. Other sizes work too. */
  size: number;
  /** Order of the channels, of `mean` and `std` too; 'RGB' when left out. */
  channels?: 'RGB' | 'BGR';
  /** Value of a white pixel before the mean is subtracted; 1 when left out. */
  scale?: number;
  /** Of each channel, for values in 0…`scale`. */
  mean: [number, number, number];
  /** Of each channel, for values in 0…`scale`. */
  std: [number, number, number];
  /** How images were brought to size where its published weights were trained; 'bilinear' when left out. */
  interpolation?: 'bilinear' | 'bicubic';
  /** The share of the short side that evaluation cuts out of the middle; 0.875 (224 of 256) when left out. */
  cropShare?: number;
  /** How the short side becomes whole pixels; 'nearest' when left out, timm's is 'down'. */
  rounding?: 'nearest' | 'down';
  /** Whether images are resized to a square, whatever their sides, before the middle is cut out. Default false. */
  squash?: boolean;
  /** How the centre is cut out of the resized image; see Preprocessing.centre. Default: as nothing is said there. */
  centre?: 'even' | 'down';
}

/** What an input says where it says nothing else. */
export const usualInput = {
  channels: 'RGB',
  scale: 1,
  interpolation: 'bilinear',
  cropShare: 0.875,
  rounding: 'nearest',
  squash: false,
} as const satisfies Partial<InputFormat>;

/** ImageNet's statistics, with which torchvision's weights were trained. */
export const imageNetInput: InputFormat = {
  size: 224,
  mean: [0.485, 0.456, 0.406],
  std: [0.229, 0.224, 0.225],
};
