"""Shards as others write them, beside this file, and in as-read.json what they read back:
webdataset 1.0.2's ShardWriter, datasets 5.2.0's to_parquet, and pyarrow 26 with snappy and without page indexes, as most files are.

    pip install webdataset datasets pillow; HF_HUB_OFFLINE=1 python make.py
"""

import hashlib
import io
import json
import os
import tempfile

import datasets
import numpy as np
import pyarrow.parquet as pq
import webdataset as wds
from PIL import Image

HERE = os.path.dirname(os.path.abspath(__file__))
CLASSES = ["ash", "beech", "cedar", "elm"]


def jpeg(i):
    pixels = np.random.default_rng(i).integers(0, 256, (3, 4, 3))
    image = Image.fromarray(np.kron(pixels, np.ones((6, 6, 1))).astype("uint8"))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=50)
    return buffer.getvalue()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


os.chdir(HERE)
# The sixth has a name that does not fit a header.
keys = [f"photos/{i:04d}" if i != 5 else f"photos/{'long-' * 30}5" for i in range(12)]
with wds.ShardWriter("trees-%02d.tar", maxcount=6, verbose=0) as sink:
    for i, key in enumerate(keys):
        sink.write({"__key__": key, "jpg": jpeg(i), "cls": str(i % 4), "json": {"name": CLASSES[i % 4]}})
samples = wds.WebDataset(["trees-00.tar", "trees-01.tar"], shardshuffle=False)
in_tar = [[s["__key__"], s["cls"].decode(), json.loads(s["json"])["name"], sha256(s["jpg"])] for s in samples]

features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=CLASSES)})
images = [{"bytes": jpeg(i), "path": f"{i}.jpg"} for i in range(12)]
trees = datasets.Dataset.from_dict({"image": images, "label": [i % 4 for i in range(12)]}, features=features)
trees.select(range(8)).to_parquet("trees-00000-of-00002.parquet", batch_size=3)
trees.select(range(8, 12)).to_parquet("trees-00001-of-00002.parquet")
table = trees.with_format("arrow")[:]
pq.write_table(table, "snappy.parquet", compression="snappy", use_dictionary=True, row_group_size=5, data_page_size=1200)
with tempfile.TemporaryDirectory() as cache:
    files = ["trees-00000-of-00002.parquet", "trees-00001-of-00002.parquet"]
    back = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=cache)
    back = back.cast_column("image", datasets.Image(decode=False))
    in_parquet = [[CLASSES[row["label"]], sha256(row["image"]["bytes"])] for row in back]
with open("as-read.json", "w") as file:
    json.dump({"tar": in_tar, "parquet": in_parquet}, file, indent=1)
    file.write("\n")
