import { type Generator, nn } from '@conquer-dml/torch';

/** What all layers of a backbone are made with. */
export interface LayerOptions {
  /** Draws the weights; without one, the generator that manualSeed() sets. */
  generator?: Generator | undefined;
  /** Draws what training leaves out; without one, the generator that manualSeed() sets. */
  dropoutGenerator?: Generator | undefined;
  /** Draw nothing: all weights are going to be loaded. Default false. */
  skipInit?: boolean | undefined;
  /** Where its tensors are made; 'meta' gives names and shapes without numbers. Default: the CPU. */
  device?: string | undefined;
}

/** A linear layer as vision transformers start with: weights N(0, 0.02²) cut off at 2, biases 0. */
export function transformerLinear(
  inFeatures: number,
  outFeatures: number,
  { bias = true, generator, skipInit = false, device }: LayerOptions & { bias?: boolean } = {},
): nn.Linear {
  const layer = new nn.Linear(inFeatures, outFeatures, { bias, skipInit: true, device });
  if (!skipInit) nn.init.truncNormal_(layer.weight, { std: 0.02, generator });
  if (layer.bias !== null) nn.init.constant_(layer.bias, 0);
  return layer;
}
