"""pytorch-metric-learning on a cell of the board: its losses, miners and sampler on torchvision's or timm's network, until the cell's minutes are over.

``pml.py FOLDER``, where cell.json says what: goes on from its last epoch, and leaves result.json. ``pml.py start FILE SEED`` draws the weights that both sides start from.
"""

import csv
import json
import os
import resource
import sys
import time

import numpy as np
import torch

try:
    import torchvision
except RuntimeError:
    # A torchvision of another build than PyTorch's has none of its own operators; what is used here needs none, but its import asks for two.
    for name in [name for name in sys.modules if name.startswith("torchvision")]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision
from PIL import Image
from pytorch_metric_learning import losses, miners, samplers
from torch import nn
from torch.nn.functional import normalize
from torchvision import transforms
from torchvision.transforms import functional

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LITE0 = os.path.join(ROOT, "packages/weights/tf_efficientnet_lite0.in1k.safetensors")


def write(path, value):
    with open(path + ".part", "w") as file:
        json.dump(value, file, indent=1)
    os.replace(path + ".part", path)


def trunk_of(settings):
    """The network without its classifier, its width, and mean and deviation of its input."""
    if settings["network"] == "resnet18":
        network = torchvision.models.resnet18(weights=None)
        network.fc = nn.Identity()
        network.load_state_dict(torch.load(settings["startFile"]), strict=False)
        return network, 512, ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    import timm
    from safetensors.torch import load_file

    network = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0)
    missing, _ = network.load_state_dict(load_file(LITE0), strict=False)
    assert not missing, missing
    return network, network.num_features, ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


class Images:
    """Images of one part of a list, decoded and reduced once and kept in memory."""

    def __init__(self, file, part, resize):
        with open(file) as lines:
            rows = [row for row in csv.DictReader(lines) if row["split"] == part]
        numbers = {}
        self.labels = [numbers.setdefault(row["label"], len(numbers)) for row in rows]
        folder = os.path.dirname(file)
        self.images = []
        for row in rows:
            with Image.open(os.path.join(folder, row["path"])) as image:
                self.images.append(functional.resize(image.convert("RGB"), resize))


def loss_of(settings, dim, classes):
    name = settings["loss"]
    if name == "margin":
        return losses.MarginLoss(margin=0.2, nu=0, beta=1.2), miners.DistanceWeightedMiner(cutoff=0.5, nonzero_loss_cutoff=1.4)
    if name == "multi-similarity":
        return losses.MultiSimilarityLoss(alpha=2, beta=50, base=0.5), miners.MultiSimilarityMiner(epsilon=0.1)
    if name == "triplet":
        return losses.TripletMarginLoss(margin=0.1), miners.MultiSimilarityMiner(epsilon=0.1)
    raise ValueError(f"expected margin, multi-similarity or triplet, got {name}")


def scores(embeddings, labels):
    """Recall@1 and MAP@R of rows of length 1 among each other."""
    count = torch.bincount(labels)[labels] - 1
    most = max(1, int(count.max()))
    first, average = [], []
    ranks = torch.arange(1, most + 1)
    for start in range(0, len(labels), 1000):
        rows = embeddings[start : start + 1000]
        similarity = rows @ embeddings.T
        similarity[torch.arange(len(rows)), torch.arange(start, start + len(rows))] = -torch.inf
        right = labels[similarity.topk(most, dim=1).indices] == labels[start : start + len(rows), None]
        relevant = count[start : start + len(rows)]
        within = ranks[None, :] <= relevant[:, None]
        first.append((right[:, 0] & (relevant > 0)).float())
        average.append((right.cumsum(1) / ranks * right * within).sum(1) / relevant.clamp(min=1))
    return {"R@1": torch.cat(first).mean().item(), "MAP@R": torch.cat(average).mean().item()}


def main(folder):
    with open(os.path.join(folder, "cell.json")) as file:
        cell = json.load(file)
    settings, seed, budget = cell["settings"], cell["seed"], 60 * cell["minutes"]
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 2)))
    torch.manual_seed(seed)
    np.random.seed(seed)
    trunk, width, (mean, deviation) = trunk_of(settings)
    size, resize = settings["imageSize"], settings["resize"]
    finish = [transforms.ToTensor(), transforms.Normalize(mean, deviation)]
    crop = transforms.RandomResizedCrop(size, scale=(settings.get("minArea", 0.08), 1))
    augmented = transforms.Compose([crop, transforms.RandomHorizontalFlip(), *finish])
    plain = transforms.Compose([transforms.CenterCrop(size), *finish])
    train, test = (Images(cell["csv"], part, resize) for part in ("train", "test"))
    head = nn.Linear(width, settings["dim"])
    trunk.to(memory_format=torch.channels_last)
    loss, miner = loss_of(settings, settings["dim"], len(set(train.labels)))
    rate, decay = settings["learningRate"], settings["weightDecay"]
    optimizer = torch.optim.Adam(
        [
            {"params": trunk.parameters(), "lr": rate},
            {"params": head.parameters(), "lr": rate * settings["embeddingMultiplier"]},
        ],
        weight_decay=decay,
    )
    sampler = samplers.MPerClassSampler(
        train.labels, settings["perClass"], batch_size=settings["batch"], length_before_new_iter=max(len(train.labels), settings["batch"])
    )
    labels, test_labels = torch.tensor(train.labels), torch.tensor(test.labels)
    curve, used = [], 0.0
    checkpoint = os.path.join(folder, "checkpoint.pth")
    if os.path.exists(checkpoint):
        saved = torch.load(checkpoint, weights_only=False)
        trunk.load_state_dict(saved["trunk"])
        head.load_state_dict(saved["head"])
        optimizer.load_state_dict(saved["optimizer"])
        curve, used = saved["curve"], saved["used"]
        torch.set_rng_state(saved["random"])
        np.random.set_state(saved["numpy"])

    def look(seconds, steps):
        trunk.eval()
        parts = []
        with torch.no_grad():
            for start in range(0, len(test.images), 64):
                batch = torch.stack([plain(image) for image in test.images[start : start + 64]])
                parts.append(normalize(head(trunk(batch.to(memory_format=torch.channels_last)))))
        curve.append({"seconds": seconds, "steps": steps, **scores(torch.cat(parts), test_labels)})

    if not curve:
        look(0.0, 0)
    while curve[-1]["seconds"] < budget:
        began, steps = time.perf_counter(), curve[-1]["steps"]
        trunk.train()
        if settings["batchNorm"] == "frozen":
            for module in trunk.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        order = list(iter(sampler))
        for at in range(0, len(order) - settings["batch"] + 1, settings["batch"]):
            places = [int(place) for place in order[at : at + settings["batch"]]]
            images = torch.stack([augmented(train.images[place]) for place in places]).to(memory_format=torch.channels_last)
            embeddings = normalize(head(trunk(images)))
            of_batch = labels[places]
            value = loss(embeddings, of_batch, miner(embeddings, of_batch))
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            steps += 1
            if curve[-1]["seconds"] + time.perf_counter() - began >= budget:
                break
        look(curve[-1]["seconds"] + time.perf_counter() - began, steps)
        state = {
            "trunk": trunk.state_dict(),
            "head": head.state_dict(),
            "optimizer": optimizer.state_dict(),
            "curve": curve,
            "used": used + time.process_time(),
            "random": torch.get_rng_state(),
            "numpy": np.random.get_state(),
        }
        torch.save(state, checkpoint + ".part")
        os.replace(checkpoint + ".part", checkpoint)
    last = curve[-1]
    write(
        os.path.join(folder, "result.json"),
        {
            "cell": cell,
            "scores": {name: last[name] for name in ("R@1", "MAP@R")},
            "curve": curve,
            "steps": last["steps"],
            "seconds": last["seconds"],
            "processorSeconds": used + time.process_time(),
            "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            "versions": {"torch": torch.__version__, "python": sys.version.split()[0]},
        },
    )


if sys.argv[1] == "start":
    torch.manual_seed(int(sys.argv[3]))
    torch.save(torchvision.models.resnet18(weights=None).state_dict(), sys.argv[2] + ".part")
    os.replace(sys.argv[2] + ".part", sys.argv[2])
else:
    main(sys.argv[1])
