import { UserError } from '@conquer-dml/run';
import { z } from 'zod';
import type { Backbone, BackboneContext } from '../backbones/backbone.js';
import { ConvNeXt } from '../backbones/convnext/convnext.js';
import { convnextModelTypes, convnextShapeOfConfig } from '../backbones/convnext/convnext-shape.js';
import { EfficientNet } from '../backbones/efficientnet/efficientnet.js';
import {
  efficientnetShapeOfConfig,
  mobilenetShapeOfConfig,
} from '../backbones/efficientnet/efficientnet-config.js';
import { Eva } from '../backbones/eva/eva.js';
import { ResNet } from '../backbones/resnet/resnet.js';
import { resnetShapeOfConfig } from '../backbones/resnet/resnet-shape.js';
import { Swin } from '../backbones/swin/swin.js';
import { swinShapeOfConfig } from '../backbones/swin/swin-shape.js';
import { dinov3ShapeOfConfig } from '../backbones/vit/dinov3-config.js';
import { ViT } from '../backbones/vit/vit.js';
import { vitModelTypes, vitShapeOfConfig } from '../backbones/vit/vit-config.js';
import { createBackbone, type ModelName, modelNames } from '../create-model.js';
import type { InputFormat } from '../input-format.js';
import { publicName } from './public-name.js';

/** transformers' preprocessor_config.json, as far as it says what a network sees. */
const preprocessor = z.object({
  image_mean: z.tuple([z.number(), z.number(), z.number()]),
  image_std: z.tuple([z.number(), z.number(), z.number()]),
  /** Pillow's: 2 bilinear, 3 bicubic. */
  resample: z
    .union([z.literal(2), z.literal(3)], { error: 'expected 2 (bilinear) or 3 (bicubic)' })
    .default(3),
  do_center_crop: z.boolean().optional(),
  crop_pct: z.number().min(0.01).max(1).optional(),
  size: z.union([
    z.object({ shortest_edge: z.int().min(1) }),
    z.object({ height: z.int().min(1), width: z.int().min(1) }),
    z.int().min(1),
  ]),
  crop_size: z.union([z.object({ height: z.int().min(1) }), z.int().min(1)]).optional(),
});

/**
 * How images have to come by transformers' preprocessor_config.json.
 *
 * @throws UserError for one that says something else than a short side or a square
 */
export function inputOfPreprocessor(given: unknown): InputFormat {
  const read = preprocessor.safeParse(given);
  if (!read.success) throw notRead('preprocessor_config.json', read.error);
  const { image_mean: mean, image_std: std, resample, size, crop_size: crop, crop_pct: share } = read.data;
  const interpolation = resample === 3 ? 'bicubic' : 'bilinear';
  const shared = { mean, std, interpolation, centre: 'down' } as const;
  const [side, squash] =
    typeof size === 'number'
      ? [size, share === undefined]
      : 'height' in size
        ? [size.height, true]
        : [size.shortest_edge, false];
  // ConvNeXt's and ResNet's say the side that the network sees, and its share of what it is cut out of.
  if (share !== undefined)
    return {
      ...shared,
      size: side,
      cropShare: side < 384 ? share : 1,
      squash: side >= 384,
      rounding: 'down',
    };
  if (crop === undefined || read.data.do_center_crop === false)
    return { ...shared, size: side, cropShare: 1, squash };
  const cut = typeof crop === 'number' ? crop : crop.height;
  return { ...shared, size: cut, cropShare: cut / side, squash };
}

type Build = (
  name: string,
  config: unknown,
  input: InputFormat,
  context: Partial<BackboneContext>,
) => Backbone;

/** By transformers' `model_type`. */
const networks: Readonly<Record<string, Build>> = {
  ...Object.fromEntries(
    vitModelTypes.map((type): [string, Build] => [
      type,
      (name, config, ...others) => new ViT(name, vitShapeOfConfig(config), ...others),
    ]),
  ),
  ...Object.fromEntries(
    convnextModelTypes.map((type): [string, Build] => [
      type,
      (name, config, ...others) => new ConvNeXt(name, convnextShapeOfConfig(config), ...others),
    ]),
  ),
  dinov3_vit: (name, config, ...others) => new Eva(name, dinov3ShapeOfConfig(config), ...others),
  swin: (name, config, ...others) => new Swin(name, swinShapeOfConfig(config), ...others),
  efficientnet: (name, config, ...others) =>
    new EfficientNet(name, efficientnetShapeOfConfig(config), ...others),
  mobilenet_v2: (name, config, ...others) =>
    new EfficientNet(name, mobilenetShapeOfConfig(config), ...others),
  resnet: (name, config, input, context) => new ResNet(name, context, resnetShapeOfConfig(config), input),
};

/** timm's config.json, as its repositories on the hub have it. */
const timmConfig = z.object({
  architecture: z.string(),
  pretrained_cfg: z.record(z.string(), z.unknown()).default({}),
});

/**
 * The network of a folder as `save_pretrained` or timm writes it, without its weights.
 *
 * @param config what config.json holds
 * @param preprocessing what preprocessor_config.json holds, where there is one
 * @throws UserError for a network that is not known
 */
export function backboneOfConfig(
  config: unknown,
  preprocessing: unknown,
  context: Partial<BackboneContext> = {},
): Backbone {
  const timm = timmConfig.safeParse(config);
  if (timm.success) return createBackbone(timmName(timm.data), context);
  const outer = z.object({ model_type: z.string(), vision_config: z.unknown().optional() }).safeParse(config);
  if (!outer.success) throw notRead('config.json', outer.error);
  // Of a network of images and texts, the images' half.
  const { model_type: whole, vision_config: half } = outer.data;
  const type = half === undefined ? whole : `${whole}_vision_model`;
  const given = half === undefined ? config : { ...(half as object), model_type: type };
  const input = inputOfPreprocessor(preprocessing);
  try {
    const build = networks[type];
    if (build !== undefined) return build(type, given, input, context);
  } catch (error) {
    throw error instanceof z.ZodError ? notRead('config.json', error) : error;
  }
  throw new UserError(
    `config.json: expected a model_type of ${Object.keys(networks).join(', ')}, got '${type}'`,
  );
}

function timmName({ architecture, pretrained_cfg: { tag } }: z.output<typeof timmConfig>): ModelName {
  const name = publicName(tag ? `${architecture}.${tag}` : architecture);
  const known = modelNames.find((each) => each === name);
  if (known !== undefined) return known;
  throw new UserError(`config.json: expected an architecture that is known, got '${architecture}'`);
}

function notRead(file: string, { issues: [issue] }: z.ZodError): UserError {
  return new UserError(`${file}: ${issue?.path.join('.')}: ${issue?.message}`);
}
