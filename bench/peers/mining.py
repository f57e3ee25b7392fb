"""Distance-weighted mining of negatives (Wu et al., ICCV 2017) to index tuples."""

import time

import numpy as np
import torch
import torch.nn.functional as F
from side import serve

BATCHES = 200  # a batch takes too little time to be measured alone
CUTOFF, NON_ZERO_LOSS_CUTOFF = 0.5, 1.4


class DistanceWeighted:
    """Draws anchor by anchor with numpy, as the method's implementations do, or all at once with multinomial."""

    def __init__(self, loops=True):
        self.loops = loops

    def __call__(self, embeddings, labels):
        size, dimensions = embeddings.shape
        squares = (embeddings**2).sum(1)
        distances = (squares[:, None] + squares - 2 * embeddings @ embeddings.t()).clamp(min=1e-4).sqrt()
        distances = distances.clamp(min=CUTOFF)
        same = labels[:, None] == labels
        log_weights = (2 - dimensions) * distances.log() - (dimensions - 3) / 2 * (
            1 - 0.25 * distances**2
        ).clamp(min=1e-12).log()
        valid = ~same & (distances < NON_ZERO_LOSS_CUTOFF)
        log_weights = log_weights.masked_fill(~valid, 0)
        weights = (log_weights - log_weights.amax(1, keepdim=True)).exp() + 1e-9
        weights = torch.where(valid, weights, torch.full_like(weights, 1e-6)).masked_fill(same, 0)
        return self.by_loop(weights, labels) if self.loops else self.at_once(weights, same)

    @staticmethod
    def by_loop(weights, labels):
        weights, labels = weights.double().numpy(), labels.numpy()
        anchors, positives, negatives = [], [], []
        for anchor in range(len(labels)):
            own = np.flatnonzero(labels == labels[anchor])
            own = own[own != anchor]
            row = weights[anchor] / weights[anchor].sum()
            drawn = np.random.choice(len(labels), len(own), replace=False, p=row)
            for positive, negative in zip(own, drawn):
                anchors.append(anchor)
                positives.append(positive)
                negatives.append(negative)
        return torch.tensor(anchors), torch.tensor(positives), torch.tensor(negatives)

    @staticmethod
    def at_once(weights, same):
        """For classes of equal size."""
        count = int(same[0].sum()) - 1
        negatives = torch.multinomial(weights, count)
        anchors, positives = (same & ~torch.eye(len(same), dtype=torch.bool, device=same.device)).nonzero(as_tuple=True)
        return anchors, positives, negatives.flatten()


if __name__ == "__main__":
    torch.manual_seed(1)
    labels = torch.arange(128) // 4
    centres = torch.randn(32, 512)
    embeddings = F.normalize(centres[labels] + torch.randn(128, 512))
    miner = DistanceWeighted()

    def work():
        start = time.perf_counter()
        for _ in range(BATCHES):
            anchors, _, _ = miner(embeddings, labels)
        return {"tuples": len(anchors), "seconds": (time.perf_counter() - start) / BATCHES}

    serve(work)
