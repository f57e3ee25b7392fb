"""The method on emoji in PyTorch, as its authors wrote it: ResNet-18 at 64 px, margin loss, distance-weighted
mining, learners doubled top-down, k-means of faiss, Recall@1 after every epoch.

``--images FILE``: JSON {train: {paths, labels}, test: {paths, labels}}. ``--epochs N``, ``--workers N``, ``--lr X``.
"""

import json
import random
import sys
import time

import faiss
import numpy as np
import torch
import torch.nn.functional as F
from vision import torchvision
from margin import margin_loss
from masks import mask_loss_matrix
from mining import DistanceWeighted
from PIL import Image
from side import serve, side_arguments
from torch import nn
from torch.utils.data import DataLoader, Dataset
from vision import transforms

SIZE, BATCH, PER_CLASS, DIMENSIONS = 64, 80, 4, 512
LEARNERS, DIVIDE_EVERY, FULL_FROM = 4, 2, 8
MASK_WEIGHT = 0.01

arguments = side_arguments()
epochs, workers = int(arguments["epochs"]), int(arguments.get("workers", 2))
learning_rate = float(arguments.get("lr", 1e-3))

NORMALISE = transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
AUGMENT = transforms.Compose(
    [
        transforms.RandomAffine(8, translate=(0.1, 0.1), scale=(0.8, 1.2), fill=255),
        transforms.Resize(SIZE),
        transforms.ColorJitter(0.3, 0.3, 0.3),
        transforms.ToTensor(),
        NORMALISE,
    ]
)
PLAIN = transforms.Compose([transforms.Resize(SIZE), transforms.ToTensor(), NORMALISE])


class Images(Dataset):
    def __init__(self, paths, labels, transform):
        self.paths, self.labels, self.transform = paths, labels, transform

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        with Image.open(self.paths[index]) as image:
            return self.transform(image.convert("RGB")), self.labels[index]


class Batches:
    """Class-balanced batches of some images; small classes repeat their images."""

    def __init__(self, indices, labels):
        self.by_class = {}
        for index in indices:
            self.by_class.setdefault(labels[index], []).append(index)
        self.count = len(indices) // BATCH

    def __len__(self):
        return self.count

    def __iter__(self):
        classes = list(self.by_class)
        wanted = BATCH // PER_CLASS
        for _ in range(self.count):
            some = random.sample(classes, wanted) if len(classes) >= wanted else random.choices(classes, k=wanted)
            yield [
                index
                for label in some
                for index in (
                    random.sample(self.by_class[label], PER_CLASS)
                    if len(self.by_class[label]) >= PER_CLASS
                    else random.choices(self.by_class[label], k=PER_CLASS)
                )
            ]


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = torchvision.models.resnet18(weights=None)
        self.backbone.fc = nn.Identity()
        self.embedding = nn.Linear(512, DIMENSIONS)

    def forward(self, images, mask=None):
        embeddings = self.embedding(self.backbone(images))
        return F.normalize(embeddings if mask is None else embeddings * F.relu(mask))


def embed(network, loader, penultimate=False):
    network.eval()
    parts = []
    with torch.no_grad():
        for images, _ in loader:
            parts.append(F.normalize(network.backbone(images)) if penultimate else network(images))
    return torch.cat(parts)


def evaluate(network, loader, labels):
    """Recall@1, and a k-means for the NMI, as the method's authors report after every epoch."""
    embeddings = embed(network, loader).numpy()
    index = faiss.IndexFlatL2(DIMENSIONS)
    index.add(embeddings)
    _, neighbours = index.search(embeddings, 9)
    own = np.arange(len(labels))[:, None]
    nearest = np.array([row[row != i][0] for i, row in zip(own[:, 0], neighbours)])
    faiss.Kmeans(DIMENSIONS, len(set(labels)), niter=20).train(embeddings)
    return float((labels[nearest] == labels).mean())


def train():
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    torch.set_flush_denormal(True)
    start = time.perf_counter()
    with open(arguments["images"]) as file:
        splits = json.load(file)
    labels, test_labels = (np.array(splits[name]["labels"]) for name in ("train", "test"))
    train_set = Images(splits["train"]["paths"], labels, AUGMENT)
    in_order = DataLoader(Images(splits["train"]["paths"], labels, PLAIN), 256, num_workers=workers)
    test = DataLoader(Images(splits["test"]["paths"], test_labels, PLAIN), 256, num_workers=workers)

    network = Network()
    masks = nn.ParameterList([nn.Parameter(torch.ones(DIMENSIONS))])
    optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate, weight_decay=1e-4)
    optimizer.add_param_group({"params": list(masks), "weight_decay": 0})
    miner = DistanceWeighted()
    clusters = np.zeros(len(labels), dtype=int)
    best, reached_after = evaluate(network, test, test_labels), 0.0

    for epoch in range(epochs):
        full = epoch >= FULL_FROM
        if epoch > 0 and epoch % DIVIDE_EVERY == 0 and not full:
            if len(masks) < LEARNERS:
                masks = nn.ParameterList([nn.Parameter(mask.detach().clone()) for mask in masks for _ in range(2)])
                optimizer.param_groups.pop()
                optimizer.add_param_group({"params": list(masks), "weight_decay": 0})
            features = embed(network, in_order, penultimate=True).numpy()
            kmeans = faiss.Kmeans(features.shape[1], len(masks), niter=100)
            kmeans.train(features)
            clusters = kmeans.index.search(features, 1)[1][:, 0]

        learners = [np.arange(len(labels))] if full else [np.flatnonzero(clusters == k) for k in range(len(masks))]
        plan = [(k, batch) for k, own in enumerate(learners) for batch in Batches(own.tolist(), labels.tolist())]
        random.shuffle(plan)
        loader = DataLoader(train_set, batch_sampler=[batch for _, batch in plan], num_workers=workers)
        network.train()
        for (learner, _), (images, batch_labels) in zip(plan, loader):
            embeddings = network(images, None if full else masks[learner])
            loss = margin_loss(embeddings, miner(embeddings.detach(), batch_labels))
            if len(masks) > 1 and not full:
                loss = loss + MASK_WEIGHT * mask_loss_matrix(list(masks))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        recall = evaluate(network, test, test_labels)
        print(f"epoch {epoch + 1}: R@1 {recall:.4f}, {time.perf_counter() - start:.0f} s", file=sys.stderr)
        if recall > best:
            best, reached_after = recall, time.perf_counter() - start
    return {"seconds": reached_after if epochs > 1 else time.perf_counter() - start, "miss": 1 - best}


if __name__ == "__main__":
    serve(train)
