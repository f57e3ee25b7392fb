"""One training step in PyTorch: forward, metric loss on mined tuples, mask loss, backward, Adam.

``--write matrix`` (the default) computes the mask loss by one matrix product and draws all negatives by one
``multinomial``; ``--write loops`` has loops over the pairs of masks and over the anchors, as the method's authors do.
"""

import time

import torch
import torch.nn.functional as F
from margin import margin_loss
from masks import mask_loss_loop, mask_loss_matrix
from mining import DistanceWeighted
from side import peak_memory, serve, side_arguments
from torch import nn
from vision import torchvision

IMAGES_PER_CLASS = 4

arguments = side_arguments()
batch, size = int(arguments["batch"]), int(arguments["size"])
learners = int(arguments["learners"])
device = arguments.get("device", "cpu")
steps = int(arguments.get("steps", "1"))
half = arguments.get("precision") == "bfloat16"
channels_last = arguments.get("layout") == "channels_last"
loops = arguments.get("write", "matrix") == "loops"
frozen = arguments["bn"] == "frozen"

torch.manual_seed(1)
torch.set_flush_denormal(True)
if hasattr(torchvision.models, arguments["arch"]):
    backbone = getattr(torchvision.models, arguments["arch"])(weights=None)
    embedding = nn.Linear(backbone.fc.in_features, 512)
    backbone.fc = nn.Identity()
else:
    from timm_alone import timm

    backbone = timm.create_model(arguments["arch"], pretrained=False, num_classes=0)
    embedding = nn.Linear(backbone.num_features, 512)
masks = nn.ParameterList([nn.Parameter(0.9 + 0.7 * torch.randn(512)) for _ in range(learners)])
for module in (backbone, embedding, masks):
    module.to(device)
backbone.train()
if frozen:
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
parameters = [*backbone.parameters(), *embedding.parameters()]
optimizer = torch.optim.Adam(
    [{"params": parameters, "weight_decay": 1e-4}, {"params": masks.parameters()}],
    lr=1e-5,
    foreach=arguments.get("foreach", "no") == "yes",
    **({"fused": True} if arguments.get("fused") == "yes" else {}),
)
miner = DistanceWeighted(loops=loops)
mask_loss = mask_loss_loop if loops else mask_loss_matrix
images = torch.randn(batch, 3, size, size).to(device)
if channels_last:
    backbone.to(memory_format=torch.channels_last)
    images = images.contiguous(memory_format=torch.channels_last)
labels = torch.arange(batch, device=device) // IMAGES_PER_CLASS
if arguments.get("compile") == "yes":
    backbone = torch.compile(backbone)
learner = 0


def step():
    global learner
    mask = F.relu(masks[learner])
    with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=half):
        rows = embedding(backbone(images))
    embeddings = F.normalize(rows.float() * mask)
    metric_loss = margin_loss(embeddings, miner(embeddings.detach(), labels))
    loss = metric_loss + 0.01 * mask_loss(list(masks))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    learner = (learner + 1) % learners


def work():
    start, processor = time.perf_counter(), time.process_time()
    for _ in range(steps):
        step()
    if device != "cpu":
        torch.cuda.synchronize()
    return {
        "seconds": (time.perf_counter() - start) / steps,
        "processor": (time.process_time() - processor) / steps,
        "peak": peak_memory(),
    }


if __name__ == "__main__":
    serve(work)
