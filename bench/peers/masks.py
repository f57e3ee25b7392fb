"""The masks' mean cosine similarity over all pairs, and its gradient."""

import itertools

import torch
import torch.nn.functional as F


def mask_loss_loop(masks):
    """A loop over the pairs of learners."""
    positive = [F.relu(mask) for mask in masks]
    pairs = list(itertools.combinations(positive, 2))
    return sum(F.cosine_similarity(a, b, dim=0) for a, b in pairs) / len(pairs)


def mask_loss_matrix(masks):
    """One matrix product."""
    unit = F.normalize(F.relu(torch.stack(masks)), dim=1)
    count = len(masks)
    return torch.triu(unit @ unit.t(), 1).sum() / (count * (count - 1) / 2)
