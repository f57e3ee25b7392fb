import { UserError } from '@conquer-dml/run';
import { type Tensor, zeros } from '@conquer-dml/torch';
import type { Backbone } from '../models/backbones/backbone.js';
import { tensorsStoredAs } from '../models/weights/naming.js';

/**
 * A backbone's weights as transformers (Python's) has them, and the config.json by which it builds the network.
 *
 * @returns tensors that belong to the caller's scope
 * @throws UserError where transformers has no network that computes the same
 */
export function transformersWeights(backbone: Backbone): { tensors: Map<string, Tensor>; config: object } {
  // A backbone of one's own may be no subclass.
  const form = backbone.transformersForm ?? null;
  const naming = form && backbone.namings.find(({ of }) => of === form.naming);
  if (!form || !naming)
    throw new UserError(
      `${backbone.name}: expected a network that transformers has as it is here (ViT, DINOv2, ResNet, ConvNeXt, or an EfficientNet or MobileNetV2 of its own files): this one goes out in timm's names, or as ONNX`,
    );
  const tensors = tensorsStoredAs(naming, backbone.stateDict());
  for (const [name, shape] of Object.entries(form.unused ?? {})) tensors.set(name, zeros([...shape]));
  return { tensors, config: form.config };
}
