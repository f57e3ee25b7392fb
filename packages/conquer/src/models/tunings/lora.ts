import { nn } from '@conquer-dml/torch';
import { z } from 'zod';
import { OptionError } from '../../option-error.js';
import { part } from '../../part.js';
import type { TuningContext } from './tuning.js';

const options = z.strictObject({
  rank: z.int().min(1).max(4096).default(8).describe('rank of what each layer learns'),
  alpha: z.number().gt(0).default(16).describe('what is learnt counts alpha / rank times'),
  layers: z
    .enum(['attention', 'mlp', 'both'])
    .default('both')
    .describe("which linear layers of the blocks learn: attention's, the MLP's"),
  dropout: z.number().min(0).max(0.99).default(0).describe('dropout in front of what is learnt'),
});

/**
 * Low-rank adaptation: the backbone's weights stay, and beside each linear layer a product of two narrow matrices learns
 * (Hu et al. 2022).
 */
export const lora = part({
  name: 'lora',
  help: "a transformer's weights stay; beside its linear layers products of low rank learn (Hu et al. 2022)",
  options,
  build: (
    { rank, alpha, layers, dropout },
    { backbone, generator, dropoutGenerator }: TuningContext,
  ): void => {
    const { attention, mlp } = backbone.linearLayers();
    const chosen = { attention, mlp, both: [...attention, ...mlp] }[layers];
    if (chosen.length === 0)
      throw new OptionError(
        'name',
        `lora is for the linear layers of a transformer's blocks, and ${backbone.name} has none: take full`,
      );
    backbone.requiresGrad_(false);
    for (const layer of chosen)
      layer.adapter = new nn.LowRank(layer, { rank, alpha, dropout, generator, dropoutGenerator });
  },
});
