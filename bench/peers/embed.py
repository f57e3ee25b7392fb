"""Photos to embeddings for evaluation: torchvision on PIL in a DataLoader, the network without gradients.

``--layout channels_last``, ``--compile yes`` and ``--precision bfloat16`` are PyTorch's; ``--engine onnxruntime`` exports the network and
runs the graph.
"""

import io

import torch
from photos import Photos
from side import THREADS, serve, side_arguments
from torch import nn
from torch.utils.data import DataLoader
from vision import torchvision, transforms

BATCH = 50


def graph_of(model, size):
    """-> images to embeddings by onnxruntime"""
    import onnxruntime

    written = io.BytesIO()
    example = torch.zeros(BATCH, 3, size, size)
    torch.onnx.export(
        model, (example,), written, input_names=["images"], dynamic_axes={"images": {0: "batch"}}, dynamo=False
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(written.getvalue(), options, providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(None, {"images": images.numpy()})[0])


if __name__ == "__main__":
    arguments = side_arguments()
    workers = int(arguments["workers"])
    size = int(arguments["size"])
    transform = transforms.Compose(
        [
            transforms.Resize(round(size * 256 / 224)),
            transforms.CenterCrop(size),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    photos = Photos(arguments["folder"], int(arguments["images"]), transform)
    loader = DataLoader(photos, batch_size=BATCH, num_workers=workers, persistent_workers=workers > 0)
    model = getattr(torchvision.models, arguments["arch"])(weights=None)
    model.fc = nn.Linear(model.fc.in_features, 512)
    model.eval()
    half = arguments.get("precision") == "bfloat16"
    last = arguments.get("layout") == "channels_last"
    if last:
        model.to(memory_format=torch.channels_last)
    if arguments.get("engine") == "onnxruntime":
        model = graph_of(model, size)
    elif arguments.get("compile") == "yes":
        model = torch.compile(model)

    def embed(images):
        if last:
            images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            rows = model(images)
        return nn.functional.normalize(rows.float())

    def work():
        # Freezing needs gradients to be off in the way that a compiled network looks at.
        with torch.no_grad() if arguments.get("compile") == "yes" else torch.inference_mode():
            parts = [embed(images) for images in loader]
        return {"images": torch.cat(parts).shape[0]}

    serve(work)
