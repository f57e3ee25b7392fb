#!/usr/bin/env bash
# faiss-cpu 1.15.1, IndexFlatL2 (exact): from queries × dimensions = 128,000 on it computes distances as |x|² + |y|² − 2xy, below it by differences. For vectors far
# from the origin (features that are not centred, here 10 ± 0.1) one more query in the batch changes the lists: at 128 dimensions the 999 queries' lists of
# ten neighbours are others in 4 of 5 cases when a 1,000th is asked along, and a row's distance to itself is no longer 0.
# Guess that was wrong: the documented threshold of 20 queries (distance_compute_blas_threshold; it is 128000 now, and of the product), and that exact means the same.
# Seen: "threshold 128000", "self 0 → 0.0156", "lists alike 0.21" (the last two depend on the processor's kernels a little).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check numpy==2.2.6 faiss-cpu==1.15.1
cat > "$folder/show.py" <<'PYTHON'
import faiss
import numpy as np

faiss.omp_set_num_threads(1)
rows = (np.random.default_rng(0).standard_normal((4000, 128)) * 0.1 + 10).astype(np.float32)
index = faiss.IndexFlatL2(128)
index.add(rows)
few, ids_of_few = index.search(rows[:999], 10)
more, ids_of_more = index.search(rows[:1000], 10)
twenty, _ = index.search(rows[:20], 10)
alike = (ids_of_few == ids_of_more[:999]).all(1).mean()
print("threshold", faiss.cvar.distance_compute_blas_threshold)
print("self of 20, 999 and 1,000 queries", twenty[:, 0].max(), few[:, 0].max(), more[:, 0].max())
print("lists alike", round(float(alike), 2))
assert faiss.cvar.distance_compute_blas_threshold == 128000
assert twenty[:, 0].max() == 0 and few[:, 0].max() == 0 and more[:, 0].max() > 0
assert alike < 0.6
PYTHON
"$folder/venv/bin/python" "$folder/show.py"
