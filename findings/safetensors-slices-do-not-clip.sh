#!/usr/bin/env bash
# safetensors 0.8.0: get_slice() of a file, which reads a table of embeddings portion by portion, takes slices, but not as lists, NumPy and PyTorch
# do: one that goes beyond the last row is an error instead of the rows that are there, and so is one that begins at a negative place,
# though a single negative place (-1) is read. So the usual loop of rows[i : i + 4] fails at the end of each table that 4 does not divide.
# Seen (10 rows): "[8:12] SafetensorError", "[-2:] OverflowError", "[-1] ok", "[8:10] ok".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check numpy==2.2.6 safetensors==0.8.0
cat > "$folder/show.py" <<'PYTHON'
import sys
import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

rows = np.arange(40, dtype=np.float32).reshape(10, 4)
save_file({"rows": rows}, sys.argv[1])
with safe_open(sys.argv[1], "np") as file:
    stored = file.get_slice("rows")
    for name, at in {"[8:12]": slice(8, 12), "[-2:]": slice(-2, None), "[-1]": -1, "[8:10]": slice(8, 10)}.items():
        assert rows[at].size > 0  # NumPy reads each
        try:
            print(name, "ok" if np.array_equal(stored[at], rows[at]) else "other numbers")
        except Exception as error:
            print(name, type(error).__name__)
PYTHON
seen=$("$folder/venv/bin/python" "$folder/show.py" "$folder/x.safetensors")
echo "$seen"
[[ $seen == $'[8:12] SafetensorError\n[-2:] OverflowError\n[-1] ok\n[8:10] ok' ]]
