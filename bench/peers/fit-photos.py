# The peer of bench/fit-photos.mjs: heads on its features and splits, scored by Recall@1 and MAP@R of the test classes.
import json
import sys

import numpy as np
import torch
from pytorch_metric_learning import losses
from sklearn.linear_model import LogisticRegression
from torch.nn.functional import normalize

folder = sys.argv[1]
asked = json.load(open(f"{folder}/splits.json"))
photos, views, features = asked["photos"], asked["views"], asked["features"]
torch.set_num_threads(asked["threads"])
rows = torch.from_numpy(np.fromfile(f"{folder}/rows.f32", dtype=np.float32)).view(views * photos, features)
BATCH, PER_CLASS, STEPS, DIM = 128, 4, 1500, 256


def score(embeddings, labels):
    similarity = embeddings @ embeddings.T
    similarity.fill_diagonal_(-torch.inf)
    order = similarity.argsort(dim=1, descending=True)
    right = (labels[order] == labels[:, None])[:, :-1]
    relevant = torch.tensor([(labels == one).sum() - 1 for one in labels])
    ranks = torch.arange(1, right.shape[1] + 1)
    precision = right.cumsum(1) / ranks
    within = ranks[None, :] <= relevant[:, None]
    average = (precision * right * within).sum(1) / relevant.clamp(min=1)
    return {"recallAt1": right[:, 0].float().mean().item(), "mapAtR": average.mean().item()}


def pml(train, seed):
    torch.manual_seed(seed)
    places, labels = torch.tensor(train["photos"]), torch.tensor(train["labels"])
    of_class = [torch.nonzero(labels == c).flatten() for c in range(int(labels.max()) + 1)]
    head = torch.nn.Linear(features, DIM)
    loss = losses.MultiSimilarityLoss()
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-3, weight_decay=1e-4)
    for _ in range(STEPS):
        classes = torch.randperm(len(of_class))[: BATCH // PER_CLASS]
        batch = torch.cat([of_class[c][torch.randperm(len(of_class[c]))[:PER_CLASS]] for c in classes])
        x = rows[torch.randint(views, (len(batch),)) * photos + places[batch]]
        value = loss(normalize(head(x)), labels[batch])
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    return lambda x: normalize(head(x)).detach()


def logistic(train, seed):
    places = torch.tensor(train["photos"])
    model = LogisticRegression(C=1.0, max_iter=200, random_state=seed)
    model.fit(normalize(rows[places]).numpy() * 10, train["labels"])
    weight = torch.from_numpy(np.asarray(model.coef_, dtype=np.float32))
    bias = torch.from_numpy(np.asarray(model.intercept_, dtype=np.float32))
    return lambda x: normalize(normalize(x) * 10 @ weight.T + bias)


results = {"PyTorch + PML, linear, multi-similarity": [], "scikit-learn, logistic regression": []}
for seed, split in enumerate(asked["splits"]):
    tested = rows[torch.tensor(split["test"]["photos"])]
    labels = torch.tensor(split["test"]["labels"])
    for name, make in zip(results, (pml, logistic)):
        results[name].append(score(make(split["train"], seed)(tested), labels))
print(json.dumps(results))
