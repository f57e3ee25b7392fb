#!/usr/bin/env bash
# huggingface_hub 2.4.0: the patterns of snapshot_download (allow_patterns, ignore_patterns) look like a shell's and are not: * goes through /, so that
# "*.safetensors" takes the weights of every folder (each precision, each part of a pipeline), and ** with a / asks for a folder: "**/*.json" leaves out the
# config.json of the repository itself. Nothing takes the top folder alone but the full names.
# Seen: "*.json" → config.json onnx/config.json; "model*.safetensors" → model.safetensors model_fp16/part/a.safetensors; "**/*.json" → onnx/config.json.
# Guess that was wrong: as in a shell or in pathlib, where the first takes config.json alone, and the last both.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check huggingface_hub==2.4.0
cat > "$folder/show.py" <<'PYTHON'
import os
from pathlib import Path
from huggingface_hub.utils import filter_repo_objects  # what snapshot_download chooses the files with

files = ["config.json", "model.safetensors", "model_fp16/part/a.safetensors", "onnx/config.json"]
for name in files:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).touch()
for pattern in ("*.json", "model*.safetensors", "**/*.json"):
    chosen = sorted(filter_repo_objects(files, allow_patterns=pattern))
    in_a_shell = sorted(str(path) for path in Path().glob(pattern))
    print(f"{pattern}: {' '.join(chosen)} | pathlib: {' '.join(in_a_shell)}")
PYTHON
mkdir "$folder/repository"
seen=$(cd "$folder/repository" && "$folder/venv/bin/python" "$folder/show.py")
echo "$seen"
[[ $seen == '*.json: config.json onnx/config.json | pathlib: config.json
model*.safetensors: model.safetensors model_fp16/part/a.safetensors | pathlib: model.safetensors
**/*.json: onnx/config.json | pathlib: config.json onnx/config.json' ]]
