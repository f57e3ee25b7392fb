"""Files to embeddings with timm's network and timm's own transform on Pillow, in seconds of the processor on all threads."""

import time

import torch
from photos import Photos
from side import serve, side_arguments
from timm_alone import timm
from torch.utils.data import DataLoader

BATCH = 32


if __name__ == "__main__":
    arguments = side_arguments()
    torch.set_num_threads(2)
    model = timm.create_model(arguments["arch"].split(".")[0], num_classes=0).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
    # Without processes of its own: what they take of the processor is not seen from here.
    loader = DataLoader(Photos(arguments["folder"], int(arguments["images"]), transform), batch_size=BATCH)

    def work():
        before = time.process_time()
        with torch.inference_mode():
            parts = [torch.nn.functional.normalize(model(images)) for images in loader]
        return {"seconds": time.process_time() - before, "images": torch.cat(parts).shape[0]}

    serve(work)
