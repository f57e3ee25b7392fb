import {
  cat,
  type Generator,
  nn,
  noGrad,
  type ProcessGroup,
  randint,
  scope,
  type Tensor,
} from '@conquer-dml/torch';
import type { BatchImages } from '../batch-images.js';
import type { Loss } from '../losses/loss.js';
import type { EmbeddingModel } from '../models/embedding-model.js';
import { type BatchEmbedder, type EmbeddedBatch, embedWhole } from './batch-embedder.js';
import { GradientCache } from './gradient-cache.js';

/** Elements from which on a tensor is exchanged by itself: copying it to others costs more than a message. */
const LARGE = 1 << 16;

/** How a batch goes through the network where several processes share it; else as one process has it, null: at once. */
export function sharedEmbedder(
  group: ProcessGroup,
  parts: {
    model: EmbeddingModel;
    loss: Loss;
    dropoutGenerator: Generator;
    largeBatches: { embedder: BatchEmbedder | null };
  },
): BatchEmbedder | null {
  const { model, loss, dropoutGenerator, largeBatches } = parts;
  if (group.size === 1) return largeBatches.embedder;
  return new SharedEmbedder(group, model, loss, dropoutGenerator, largeBatches.embedder);
}

/**
 * A batch that several processes share: each embeds its images, and has the rows of all. So miner, loss and memory, which
 * every process runs alike, see one batch, as that of one process. Of the rows' gradients each takes its own into the network,
 * and the network's gradients are the sum over all processes; what the loss and the masks get is as rank 0 has it.
 *
 * BatchNorm that trains sees the process's own images, as in PyTorch's DistributedDataParallel; its running statistics are
 * rank 0's.
 */
class SharedEmbedder implements BatchEmbedder {
  /** Those of the batch are rank 0's already. */
  private hasStatistics = true;

  /**
   * @param dropout draws all that the network leaves out by chance: of a batch at once what one process draws, of chunks another
   *   stream in each process
   * @param inner how the process's own images go through the network; null: at once
   */
  constructor(
    private readonly group: ProcessGroup,
    private readonly model: EmbeddingModel,
    private readonly loss: Loss,
    private readonly dropout: Generator,
    private readonly inner: BatchEmbedder | null,
  ) {}

  embed(images: BatchImages, total: number): EmbeddedBatch {
    const { group } = this;
    const { from, count } = group.share(total);
    const own = this.embedOwn(images, total);
    this.hasStatistics = false;
    const rows = group.allGather(own.rows).requiresGrad_();
    return {
      rows,
      backward: (gradientOf) => {
        gradientOf.backward();
        const { grad } = rows;
        // A scalar whose gradient is just that of the rows.
        if (grad !== null) this.sumGradients(own, own.rows.mul(grad.narrow(0, from, count)).sum());
        this.shareGradientsAlike();
        this.shareStatistics();
      },
    };
  }

  private embedOwn(images: BatchImages, total: number): EmbeddedBatch {
    const { group, model, dropout, inner } = this;
    if (!(inner instanceof GradientCache)) {
      // Until the end of the batch: what is computed again on the way back draws again.
      dropout.share = group.share(total);
      return inner?.embed(images, total) ?? embedWhole(model, images);
    }
    // The processes may have different numbers of chunks, and are to draw equally much.
    const seed = scope(() => randint(0, 2 ** 28, [1], { generator: dropout, device: dropout.device }).item());
    const goesOnFrom = dropout.state();
    dropout.seed(seed + group.rank);
    const embedded = inner.embed(images);
    dropout.setState(goesOnFrom);
    return embedded;
  }

  finish(): void {
    this.dropout.share = null;
    if (!this.hasStatistics) this.shareStatistics();
  }

  /** Of BatchNorm. Backward reads them, so that they cannot be others before; averages of the weights do afterwards. */
  private shareStatistics(): void {
    const { group, model } = this;
    const trained = [...model.namedModules()].flatMap(([, module]) =>
      module instanceof nn.BatchNorm2d && module.training && !module.frozen ? [module] : [],
    );
    const statistics = trained.flatMap((module) => [...module.namedBuffers()].map(([, buffer]) => buffer));
    exchange(statistics, (tensor) => group.broadcast(tensor));
    this.hasStatistics = true;
  }

  /** Of the network, whose gradients go around while others are computed, where all come of one pass. */
  private sumGradients(own: EmbeddedBatch, total: Tensor): void {
    const { group, model } = this;
    const alike = new Set(this.alike());
    const network = model.parameters().filter((each) => each.requiresGrad && !alike.has(each));
    let areSummed = false;
    own.backward(total, (pass) => {
      areSummed = true;
      group.sumGradients(network, pass);
    });
    if (!areSummed) group.sumGradients(network);
  }

  private shareGradientsAlike(): void {
    const gradients = this.alike().flatMap(({ grad }) => grad ?? []);
    exchange(gradients, (tensor) => this.group.broadcast(tensor));
  }

  /** What every process computes the same gradients of. */
  private alike(): Tensor[] {
    const { model, loss } = this;
    return [...new Set([...model.parameterGroups().masks, ...loss.parameters()])];
  }
}

/** A collective on many tensors: of those that are small on all at once. */
function exchange(tensors: readonly Tensor[], collective: (tensor: Tensor) => void): void {
  scope(() =>
    noGrad(() => {
      const small = new Map<string, Tensor[]>();
      for (const tensor of tensors) {
        if (tensor.numel() >= LARGE) collective(tensor);
        else small.set(tensor.dtype, [...(small.get(tensor.dtype) ?? []), tensor]);
      }
      for (const together of small.values()) {
        const all = cat(together.map((tensor) => tensor.reshape([-1])));
        collective(all);
        let at = 0;
        for (const tensor of together) {
          tensor.copy_(all.narrow(0, at, tensor.numel()).reshape(tensor.shape));
          at += tensor.numel();
        }
      }
    }),
  );
}
