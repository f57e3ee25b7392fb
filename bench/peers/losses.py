"""Forward and backward of pytorch-metric-learning's losses: answers each line "NAME BATCH REPEATS" with the least times of one."""

import json
import os
import sys
import time
import warnings

import pytorch_metric_learning
import torch
from pytorch_metric_learning import losses, miners

warnings.filterwarnings("ignore")
DIM = 512
CLASSES = 100
torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
of_classes = dict(num_classes=CLASSES, embedding_size=DIM)

# A miner where ours mines itself, or both are given what one finds.
made = {
    "circle": lambda: (losses.CircleLoss(), None),
    "sup-con": lambda: (losses.SupConLoss(), None),
    "nt-xent": lambda: (losses.NTXentLoss(), None),
    "threshold-consistent-margin": lambda: (losses.ThresholdConsistentMarginLoss(), None),
    "ranked-list": lambda: (losses.RankedListLoss(margin=0.4, Tn=10, alpha=1.2), None),
    "fast-ap": lambda: (losses.FastAPLoss(), None),
    "smooth-ap": lambda: (losses.SmoothAPLoss(), None),
    "multi-similarity": lambda: (losses.MultiSimilarityLoss(2, 40, 0.5), miners.MultiSimilarityMiner()),
    "histogram": lambda: (losses.HistogramLoss(64), None),
    "triplet": lambda: (losses.TripletMarginLoss(0.2), "tuples"),
    "margin": lambda: (losses.MarginLoss(), "tuples"),
    "contrastive": lambda: (losses.ContrastiveLoss(), "tuples"),
    "proxy-anchor": lambda: (losses.ProxyAnchorLoss(**of_classes), None),
    "proxy-nca": lambda: (losses.ProxyNCALoss(softmax_scale=9, **of_classes), None),
    "normalized-softmax": lambda: (losses.NormalizedSoftmaxLoss(**of_classes), None),
    "cosface": lambda: (losses.CosFaceLoss(**of_classes), None),
    "arcface": lambda: (losses.ArcFaceLoss(**of_classes), None),
    "sub-centre-arcface": lambda: (losses.SubCenterArcFaceLoss(**of_classes), None),
    "soft-triple": lambda: (losses.SoftTripleLoss(centers_per_class=10, **of_classes), None),
}


def work(name, batch, repeats):
    torch.manual_seed(1)
    loss, mined = made[name]()
    labels = torch.arange(batch) // 4 % CLASSES
    x = torch.randn(batch, DIM).requires_grad_()
    tuples = None
    if mined == "tuples":
        a, p, n = miners.BatchHardMiner()(x.detach(), labels)
        tuples = (a, p, n)
    seconds, processor = [], []
    for _ in range(repeats + 2):
        start, used = time.perf_counter(), time.process_time()
        x.grad = None
        loss.zero_grad()
        found = mined(x, labels) if callable(mined) else tuples
        value = loss(x, labels, found)
        value.backward()
        seconds.append(time.perf_counter() - start)
        processor.append(time.process_time() - used)
    return {"seconds": min(seconds[2:]), "processor": min(processor[2:])}


print(json.dumps({"torch": torch.__version__, "pml": pytorch_metric_learning.__version__}), flush=True)
for line in sys.stdin:
    name, batch, repeats = line.split()
    print(json.dumps(work(name, int(batch), int(repeats)) if name in made else None), flush=True)
