"""torchvision beside any PyTorch: PyPI's may be of another build than the PyTorch that is there."""

import torch

if not torch.__version__.startswith("1."):
    import timm_alone  # noqa: F401
import torchvision  # noqa: E402, F401
from torchvision import transforms  # noqa: E402, F401
