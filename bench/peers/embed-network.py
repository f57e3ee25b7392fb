"""Images as numbers to embeddings, a batch at a time, with timm's network and the same weights: seconds of a batch.

``--layout channels_last``, ``--compile yes`` (with what is constant folded, ``TORCHINDUCTOR_FREEZING``) and ``--precision bfloat16`` are
PyTorch's; ``--engine onnxruntime`` exports the network and runs the graph.
"""

import io
import statistics
import time

import numpy
import torch
from safetensors.torch import load_file
from side import THREADS, serve, side_arguments
from timm_alone import timm

arguments = side_arguments()
torch.set_num_threads(THREADS)
size = int(arguments["size"])
batch = int(arguments["batch"])
values = numpy.fromfile(arguments["numbers"], dtype=numpy.float32, count=batch * 3 * size * size)
images = torch.from_numpy(values).reshape(batch, 3, size, size)
model = timm.create_model(arguments["arch"].split(".")[0], num_classes=0).eval()
model.load_state_dict(load_file(arguments["weights"]))
half = arguments.get("precision") == "bfloat16"
last = arguments.get("layout") == "channels_last"
compiled = arguments.get("compile") == "yes"
if last:
    model = model.to(memory_format=torch.channels_last)


def by_torch():
    run = torch.compile(model) if compiled else model

    def embed():
        # Freezing needs gradients to be off in the way that a compiled network looks at.
        with (
            torch.no_grad() if compiled else torch.inference_mode(),
            torch.autocast("cpu", dtype=torch.bfloat16, enabled=half),
        ):
            given = images.contiguous(memory_format=torch.channels_last) if last else images
            return torch.nn.functional.normalize(run(given).float()).numpy()

    return embed


def by_onnxruntime():
    import onnxruntime

    written = io.BytesIO()
    torch.onnx.export(
        model, (images,), written, input_names=["images"], dynamic_axes={"images": {0: "batch"}}, dynamo=False
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(written.getvalue(), options, providers=["CPUExecutionProvider"])

    def embed():
        rows = session.run(None, {"images": images.numpy()})[0]
        return rows / numpy.linalg.norm(rows, axis=1, keepdims=True)

    return embed


def check(rows):
    weights = 1 + numpy.arange(rows.shape[1]) % 7
    above = (numpy.maximum(rows, 0).astype(numpy.float64) * weights).sum(1)
    below = (numpy.maximum(-rows, 0).astype(numpy.float64) * weights).sum(1)
    return numpy.stack([above, below], 1).tolist()


if __name__ == "__main__":
    embed = by_onnxruntime() if arguments.get("engine") == "onnxruntime" else by_torch()
    embed()  # what is compiled is compiled here

    def work():
        seconds = []
        for _ in range(int(arguments["turns"])):
            start = time.perf_counter()
            rows = embed()
            seconds.append(time.perf_counter() - start)
        return {"seconds": statistics.median(seconds), "check": check(rows)}

    serve(work)
