#!/usr/bin/env bash
# safetensors 0.8.0, numpy: an array that does not lie row by row (the components of scikit-learn's PCA, a transposed table of embeddings) is written
# as it lies in memory, under its own shape: no error, and other numbers come back. 0.7.0 writes it rightly (upstream: safetensors issue 825).
# Seen: "0.7.0 True True True", "0.8.0 True False False", and the file's 1,000 × 32 rows have a cosine of about 0 to what was saved.
# Guess that was wrong: what save_file accepts, load_file gives back.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check numpy==2.2.6 scikit-learn==1.7.2 safetensors==0.7.0
cat > "$folder/show.py" <<'PYTHON'
import sys
import numpy as np
import safetensors
from safetensors.numpy import load_file, save_file
from sklearn.decomposition import PCA

rows = np.random.default_rng(0).standard_normal((1000, 32)).astype(np.float32)
components = PCA(16, svd_solver="full").fit(rows).components_
transposed = np.ascontiguousarray(rows.T).T
path = sys.argv[1]
same = []
for array in (rows, components, transposed):
    save_file({"x": array}, path)
    same.append(bool(np.array_equal(load_file(path)["x"], array)))
back = load_file(path)["x"]
cosine = ((back * rows).sum(1) / np.linalg.norm(back, axis=1) / np.linalg.norm(rows, axis=1)).mean()
print(safetensors.__version__, *same, "PCA in Fortran order:", bool(components.flags.f_contiguous), f"cosine {cosine:.2f}")
PYTHON
before=$("$folder/venv/bin/python" "$folder/show.py" "$folder/x.safetensors")
"$folder/venv/bin/pip" install -q --disable-pip-version-check safetensors==0.8.0
after=$("$folder/venv/bin/python" "$folder/show.py" "$folder/x.safetensors")
printf '%s\n' "$before" "$after"
[[ $before == "0.7.0 True True True"* && $after == "0.8.0 True False False"* ]]
