import type { Preprocessing } from '@conquer-dml/run';
import type { Backbone } from '../models/backbones/backbone.js';
import { shortSideFor } from '../models/preprocessing.js';
import { publicNames } from '../models/weights/public-name.js';

/**
 * config.json as timm's repositories have it: by it `timm.create_model('local-dir:…', pretrained=True)` builds the network, and its
 * `create_transform` reads images as the model does.
 *
 * @returns null for a backbone that is none of timm's, or whose images come otherwise than timm can say
 */
export function timmConfig({ name, featureSize, input }: Backbone, view: Preprocessing): object | null {
  const { channels, scale, mean, std, interpolation } = view.input;
  if (name.includes('/') || !publicNames().includes(name) || channels === 'BGR') return null;
  const [architecture, tag] = name.split('.');
  const { size, resize, squash = false } = view;
  // timm divides and rounds down.
  const { cropShare } = input;
  const isUsual = cropShare !== undefined && shortSideFor(size, cropShare, 'down') === resize;
  return {
    architecture,
    num_classes: 0,
    num_features: featureSize,
    model_args: { num_classes: 0 },
    pretrained_cfg: {
      tag,
      num_classes: 0,
      input_size: [3, size, size],
      interpolation,
      crop_pct: isUsual ? cropShare : Math.min(1, size / (resize + 0.5)),
      crop_mode: squash ? 'squash' : 'center',
      mean: mean.map((value) => value / scale),
      std: std.map((value) => value / scale),
    },
  };
}
