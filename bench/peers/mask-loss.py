"""The masks' mean cosine similarity over all pairs, by a loop over the pairs, and its gradient: 32 learners x 512."""

import time

import torch
from masks import mask_loss_loop
from side import serve

torch.manual_seed(1)
masks = [(0.9 + 0.7 * torch.randn(512)).requires_grad_() for _ in range(32)]


TIMES = 5


def work():
    start = time.perf_counter()
    for _ in range(TIMES):
        for mask in masks:
            mask.grad = None
        loss = mask_loss_loop(masks)
        loss.backward()
    return {"check": loss.item(), "seconds": (time.perf_counter() - start) / TIMES}


serve(work)
