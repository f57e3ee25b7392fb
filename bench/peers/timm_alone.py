"""timm beside a PyTorch for the processor: PyPI's torchvision is built for CUDA, so that its operators do not load. timm needs none of
them, but torchvision wants to describe them while it is imported; those that are missing are declared by name."""

import importlib.util
import re
from pathlib import Path

import torch

_registrations = Path(importlib.util.find_spec("torchvision").origin).parent / "_meta_registrations.py"
_names = set(re.findall(r'register_(?:fake|meta)\("(?:torchvision::)?(\w+)"\)', _registrations.read_text()))
_library = torch.library.Library("torchvision", "FRAGMENT")
for _name in sorted(_names):
    try:
        _library.define(f"{_name}(Tensor x) -> Tensor")
    except RuntimeError:
        pass  # it is there

import timm  # noqa: E402, F401
