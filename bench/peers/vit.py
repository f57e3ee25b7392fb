"""Forward and backward of timm's vision transformer without a classifier, eagerly or through ``torch.compile``, in seconds of the processor."""

import time

import torch
from side import serve, side_arguments
from timm_alone import timm

arguments = side_arguments()
torch.manual_seed(1)
torch.set_num_threads(2)
network = timm.create_model(arguments["arch"].split(".")[0], num_classes=0).train()
images = torch.randn(int(arguments["batch"]), 3, int(arguments["size"]), int(arguments["size"]))
run = torch.compile(network) if arguments.get("compile") == "yes" else network


def step():
    run(images).sum().backward()
    network.zero_grad(set_to_none=True)


def work():
    before = time.process_time()
    step()
    return {"seconds": time.process_time() - before}


if __name__ == "__main__":
    step()  # what is compiled is compiled here
    serve(work)
