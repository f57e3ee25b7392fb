"""The margin loss (Wu et al., ICCV 2017) of mined tuples: the mean over the pairs that have any."""

import torch.nn.functional as F

BETA, MARGIN = 1.2, 0.2


def _distance(a, b):
    return ((a - b) ** 2).sum(1).add(1e-8).sqrt()


def margin_loss(embeddings, tuples):
    anchors, positives, negatives = tuples
    positive_loss = F.relu(_distance(embeddings[anchors], embeddings[positives]) - BETA + MARGIN)
    negative_loss = F.relu(BETA - _distance(embeddings[anchors], embeddings[negatives]) + MARGIN)
    pairs = ((positive_loss > 0).sum() + (negative_loss > 0).sum()).clamp(min=1)
    return (positive_loss.sum() + negative_loss.sum()) / pairs
