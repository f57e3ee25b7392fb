# The same trainings of heads as bench/fit.mjs: a line of JSON in, a line of JSON out.
import json
import sys
import time

import torch
from pytorch_metric_learning import losses

PHOTOS, CLASSES, VIEWS, FEATURES, BATCH, DIM = 5000, 100, 4, 384, 128, 256
PER_CLASS = 4
torch.set_num_threads(2)
labels = torch.arange(PHOTOS) % CLASSES
generator = torch.Generator().manual_seed(1)
centres = torch.randn(CLASSES, FEATURES, generator=generator)
rows = torch.cat(
    [centres[labels] + 2 * torch.randn(PHOTOS, FEATURES, generator=generator) for _ in range(VIEWS)]
)
places = [torch.nonzero(labels == c).flatten() for c in range(CLASSES)]


def train(name, seed, steps):
    torch.manual_seed(seed)
    if name.startswith("MLP"):
        head = torch.nn.Sequential(
            torch.nn.Linear(FEATURES, 512), torch.nn.ReLU(), torch.nn.Linear(512, DIM)
        )
    else:
        head = torch.nn.Linear(FEATURES, DIM)
    if name.endswith("softmax"):
        loss = losses.NormalizedSoftmaxLoss(CLASSES, DIM)
    else:
        loss = losses.MultiSimilarityLoss(alpha=2, beta=40, base=0.5)
    groups = [{"params": head.parameters()}, {"params": loss.parameters(), "weight_decay": 0}]
    optimizer = torch.optim.Adam([g for g in groups], lr=1e-3, weight_decay=1e-4)
    for _ in range(steps):
        classes = torch.randperm(CLASSES)[: BATCH // PER_CLASS]
        photos = torch.stack(
            [places[c][torch.randperm(len(places[c]))[:PER_CLASS]] for c in classes]
        ).flatten()
        x = rows[torch.randint(VIEWS, (BATCH,)) * PHOTOS + photos]
        embeddings = torch.nn.functional.normalize(head(x))
        value = loss(embeddings, labels[photos])
        optimizer.zero_grad()
        value.backward()
        optimizer.step()


print(json.dumps({"ready": f"torch {torch.__version__}"}), flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    wall, cpu = time.perf_counter(), time.process_time()
    train(asked["name"], asked["seed"], asked["steps"])
    print(
        json.dumps({"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}), flush=True
    )
