import type { InputFormat } from '../input-format.js';
import { checkedLicenses } from './checked-licenses.js';

/** Weights that somebody published, and the network that they are for. */
export interface Published<Name extends string = string, Shape = unknown> {
  /** As timm has it (architecture.tag), or the name of a Hugging Face repository whose files have transformers' names. */
  readonly name: Name;
  /** What the network is made of. */
  readonly shape: Shape;
  /** How images come that it was trained on. */
  readonly input: InputFormat;
  /** Where the weights lie on the Hugging Face hub. */
  readonly repository: string;
  /** The licence of the weights, as their repository names it. */
  readonly license: string;
  /**
   * Whether the licence was held to what timm's own list, the weights' page on the hub or their authors' repository says of them.
   * The others of transformers' naming stand here as they are known elsewhere.
   */
  readonly licenseChecked: boolean;
  /** Whether their terms have to be agreed to on the hub before they can be fetched. */
  readonly gated: boolean;
  /** What has to be known before they are used, in a line. */
  readonly note?: string;
}

/** What lists a family's published weights, all of networks of one form. */
export function weightsOf<Shape>() {
  return {
    /** Names of timm's: an architecture's weights by their tags. What timm means by the architecture alone comes first. */
    timm<const Architecture extends string, const Tag extends string>(
      architecture: Architecture,
      tags: readonly Tag[],
      shape: Shape,
      input: InputFormat,
      license = 'apache-2.0',
    ): Published<`${Architecture}.${Tag}`, Shape>[] {
      return tags.map((tag) => {
        const name = `${architecture}.${tag}` as const;
        // One repository holds the weights under both names.
        const repository = `timm/${name.replace('_quickgelu', '')}`;
        return { name, shape, input, license, licenseChecked: true, repository, gated: false };
      });
    },

    /** Names of repositories whose files have transformers' names. */
    hub<const Repository extends string>(
      repositories: readonly Repository[],
      shape: Shape,
      input: InputFormat,
      { license = 'apache-2.0', gated = false }: { license?: string; gated?: boolean } = {},
    ): Published<Repository, Shape>[] {
      return repositories.map((name) => ({
        ...{ name, shape, repository: name, gated },
        license: checkedLicenses.get(name) ?? license,
        licenseChecked: checkedLicenses.has(name),
        input: { ...input, centre: 'down' as const },
      }));
    },
  };
}

/** ImageNet's statistics, as timm's evaluation has them for most of its weights. */
export const imageNet = (size: number, cropShare = 0.875): InputFormat =>
  timmInput(size, cropShare, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);

/** Values of -1 to 1. */
export const halves = (size: number, cropShare = 0.9): InputFormat =>
  timmInput(size, cropShare, [0.5, 0.5, 0.5], [0.5, 0.5, 0.5]);

/** Values of 0 to 1. */
export const unit = (size: number, cropShare = 0.875): InputFormat =>
  timmInput(size, cropShare, [0, 0, 0], [1, 1, 1]);

/** The statistics of the images that OpenAI's CLIP was trained on. */
export const clipImages = (size: number, cropShare = 1): InputFormat =>
  timmInput(size, cropShare, [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]);

/** The same, resized to the square whatever their sides. */
export const squashed = (input: InputFormat): InputFormat => ({ ...input, squash: true });

/** The same images, reduced by the triangle filter. */
export const bilinear = (input: InputFormat): InputFormat => ({ ...input, interpolation: 'bilinear' });

const timmInput = (
  size: number,
  cropShare: number,
  mean: InputFormat['mean'],
  std: InputFormat['std'],
): InputFormat => ({
  size,
  mean,
  std,
  interpolation: 'bicubic',
  cropShare,
  rounding: 'down',
  centre: 'even',
});
