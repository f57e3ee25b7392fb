#!/usr/bin/env bash
# pyarrow 26.0.1: embeddings in a column of fixed-size lists. The numbers of a slice, or of a batch of Table.to_batches(), read by .values are those of the WHOLE
# column, from its first row on; .flatten() gives the slice's own. Batches of ParquetFile.iter_batches() are columns of their own, where both agree,
# so that a loop that was right for a file gives each batch the first rows' vectors once it is given a table.
# Seen: the second batch's first number 16 by flatten, 0 by values, and 16 by values when it comes from the file.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check numpy==2.2.6 pyarrow==26.0.1
cat > "$folder/show.py" <<'PYTHON'
import sys
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

rows = np.arange(40, dtype=np.float32).reshape(10, 4)
table = pa.table({"id": range(10), "vector": pa.FixedSizeListArray.from_arrays(rows.ravel(), 4)})
pq.write_table(table, sys.argv[1])


def second(batches):
    _, batch, *_ = batches
    column = batch.column("vector")
    return [int(column.flatten()[0].as_py()), int(column.values[0].as_py()), len(column), len(column.values)]


print("table", second(pq.read_table(sys.argv[1]).to_batches(max_chunksize=4)))
print("file", second(pq.ParquetFile(sys.argv[1]).iter_batches(batch_size=4)))
PYTHON
seen=$("$folder/venv/bin/python" "$folder/show.py" "$folder/x.parquet")
echo "$seen"
[[ $seen == $'table [16, 0, 4, 40]\nfile [16, 16, 4, 16]' ]]
