"""A step of pytorch-metric-learning's cross-batch memory: answers each line "all|hard REPEATS" with the times of one."""

import json
import sys
import time
import warnings

import torch
from pytorch_metric_learning import losses, miners

warnings.filterwarnings("ignore")
size, dim, batch, classes = map(int, sys.argv[1:])
torch.set_num_threads(2)


def make(name):
    torch.manual_seed(1)
    miner = miners.MultiSimilarityMiner() if name == "hard" else None
    memory = losses.CrossBatchMemory(losses.MultiSimilarityLoss(2, 40, 0.5), dim, memory_size=size, miner=miner)
    memory.embedding_memory = torch.randn(size, dim)
    memory.label_memory = torch.arange(size) // 4 % classes
    memory.has_been_filled = True
    return memory, torch.randn(batch, dim).requires_grad_()


made = {name: make(name) for name in ("all", "hard")}


def work(name, repeats):
    memory, x = made[name]
    labels = torch.arange(batch) // 4
    start = used = 0
    for i in range(repeats + 2):
        if i == 2:
            start, used = time.perf_counter(), time.process_time()
        x.grad = None
        memory(x, labels).backward()
    return {
        "seconds": (time.perf_counter() - start) / repeats,
        "processor": (time.process_time() - used) / repeats,
    }


print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    name, repeats = line.split()
    print(json.dumps(work(name, int(repeats))), flush=True)
