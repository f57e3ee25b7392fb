import { cat, type Generator, nn, noGrad, scope } from '@conquer-dml/torch';
import { z } from 'zod';
import type { BatchImages } from '../batch-images.js';
import type { EmbeddingModel } from '../models/embedding-model.js';
import { OptionError } from '../option-error.js';
import { type BatchEmbedder, type EmbeddedBatch, embedWhole } from './batch-embedder.js';

export const gradientCacheOptions = z.strictObject({
  chunk: z
    .int()
    .min(1)
    .default(50)
    .describe('images that go through the network at a time: what the memory has to be enough for'),
});

/**
 * The gradient cache (Gao, Zhang, Han, Callan, "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup",
 * 2021): a batch goes through the network in chunks, twice. First without a graph, for the rows; the loss of the whole batch
 * gives their gradients; then each chunk again with one, of which its rows' gradients go back into the weights. The
 * gradients are those of the batch at once, in the memory of a chunk, for two forward passes instead of one. What is left
 * out by chance (dropout, drop path) is drawn the same both times.
 */
export class GradientCache implements BatchEmbedder {
  /**
   * @param chunk images
   * @param dropout draws all that the network leaves out by chance
   * @param within how a chunk goes through for its gradients; default: at once
   * @throws OptionError for a network with BatchNorm that trains: its statistics would need all chunks at once
   */
  constructor(
    private readonly model: EmbeddingModel,
    private readonly chunk: number,
    private readonly dropout: Generator,
    private readonly within: BatchEmbedder = { embed: (images) => embedWhole(model, images) },
  ) {
    refuseBatchNorm(model);
  }

  embed(images: BatchImages): EmbeddedBatch {
    const { model, dropout, chunk, within } = this;
    const size = images.shape[0]!;
    if (size <= chunk) return within.embed(images, size);
    const parts = Array.from({ length: Math.ceil(size / chunk) }, (_, i) => ({
      from: i * chunk,
      count: Math.min(chunk, size - i * chunk),
      drawnFrom: null as Uint8Array | null,
    }));
    const imagesOf = ({ from, count }: { from: number; count: number }) => images.narrow(0, from, count);
    const rows = noGrad(() =>
      scope(() =>
        cat(
          parts.map((part) => {
            part.drawnFrom = dropout.state();
            return scope(() => embedWhole(model, imagesOf(part)).rows);
          }),
        ),
      ),
    ).requiresGrad_();
    return {
      rows,
      backward: (total, last) => {
        total.backward();
        const { grad } = rows;
        if (grad === null) return;
        const goesOnFrom = dropout.state();
        for (const part of parts) {
          scope(() => {
            dropout.setState(part.drawnFrom!);
            const { rows, backward } = within.embed(imagesOf(part), part.count);
            const ofRows = rows.mul(grad.narrow(0, part.from, part.count)).sum();
            backward(ofRows, part === parts.at(-1) ? last : undefined);
          });
        }
        dropout.setState(goesOnFrom);
      },
    };
  }
}

function refuseBatchNorm(model: EmbeddingModel): void {
  const trains = [...model.namedModules()].find(
    ([, module]) => module instanceof nn.BatchNorm2d && !module.frozen,
  );
  if (trains === undefined) return;
  const [name] = trains;
  throw new OptionError(
    'train.gradientCache',
    `expected a network whose BatchNorm is frozen, as one that trains (${name}) takes its statistics from the whole batch, which is never there at once; expected model.batchNorm 'frozen' and a head without BatchNorm, or null`,
  );
}
