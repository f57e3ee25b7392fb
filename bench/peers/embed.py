"""Photos to embeddings for evaluation: torchvision on PIL in a DataLoader, the network without gradients."""

import torch
import torchvision
from photos import Photos
from side import serve, side_arguments
from torch import nn
from torch.utils.data import DataLoader
from torchvision import transforms

BATCH = 50


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

    def work():
        with torch.inference_mode():
            parts = [nn.functional.normalize(model(images)) for images in loader]
        return {"images": torch.cat(parts).shape[0]}

    serve(work)
