"""The public classes and functions of pytorch-metric-learning or open-metric-learning by kind, read from the sources of the
installed package, as JSON: python names.py pytorch_metric_learning | oml"""

import ast
import importlib.metadata
import importlib.util
import json
import pathlib
import sys

package = sys.argv[1]
root = pathlib.Path(importlib.util.find_spec(package).origin).parent

# The folders and files that hold what a user calls; what serves them (interfaces, registries, DDP, downloads) does not count.
KINDS = {
    "pytorch_metric_learning": {
        "losses": ["losses"],
        "miners": ["miners"],
        "distances": ["distances"],
        "reducers": ["reducers"],
        "regularizers": ["regularizers"],
        "samplers": ["samplers"],
        "testers": ["testers"],
        "trainers": ["trainers"],
        "inference": ["utils/inference.py", "utils/distributed.py"],
        "accuracy metrics": ["utils/accuracy_calculator.py"],
    },
    "oml": {
        "losses": ["losses"],
        "miners": ["miners"],
        "samplers": ["samplers"],
        "models": ["models"],
        "metrics": ["metrics", "functional/metrics.py"],
        "re-ranking and retrieval": ["retrieval"],
        "data sets": ["datasets"],
    },
}[package]


def names(tree):
    """Classes, and the functions that calculate a metric."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield node.name
        if isinstance(node, ast.FunctionDef) and node.name.startswith("calc_"):
            yield node.name


def metrics(tree):
    """Of the accuracy calculator: what it calculates."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("calculate_"):
            yield node.name.removeprefix("calculate_")


found = {}
for kind, places in KINDS.items():
    files = []
    for place in places:
        path = root / place
        files += sorted(path.rglob("*.py")) if path.is_dir() else [path]
    read = metrics if kind == "accuracy metrics" else names
    # Networks of others that are carried along are theirs to list.
    trees = [ast.parse(file.read_text()) for file in files if "external" not in str(file.relative_to(root))]
    found[kind] = sorted({name for tree in trees for name in read(tree)})
dist = {"pytorch_metric_learning": "pytorch-metric-learning", "oml": "open-metric-learning"}[package]
print(json.dumps({"version": importlib.metadata.version(dist), "names": found}))
