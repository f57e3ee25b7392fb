"""faiss HNSW, single queries, with the least efSearch that finds a share of the exact ten nearest."""

import os
import time

import faiss
import numpy
from side import serve, side_arguments

COUNT = 1000
arguments = side_arguments()
dim = int(arguments["dim"])
rows = numpy.fromfile(arguments["data"], dtype=numpy.float32).reshape(-1, dim)
queries = numpy.fromfile(arguments["queries"], dtype=numpy.float32).reshape(-1, dim)[:COUNT]
exact = faiss.IndexFlatIP(dim)
exact.add(rows)
truth = exact.search(queries, 10)[1]
del exact
path = arguments["data"] + ".hnsw"
if os.path.exists(path):
    index = faiss.read_index(path)
else:
    index = faiss.IndexHNSWFlat(dim, 32, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = 128
    index.add(rows)
    faiss.write_index(index, path)
del rows


def recall(found):
    return sum(len(set(a) & set(b)) for a, b in zip(found, truth)) / truth.size


wanted = float(arguments["recall"])
# As bench/candidates.mjs has them.
for ef in (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1024, 2048, 4096):
    index.hnsw.efSearch = ef
    if recall(index.search(queries, 10)[1]) >= wanted:
        break


def work():
    found = []
    used = time.process_time()
    start = time.perf_counter()
    for at in range(COUNT):
        found.append(index.search(queries[at : at + 1], 10)[1][0])
    seconds = (time.perf_counter() - start) / COUNT
    return {"seconds": seconds, "processor": (time.process_time() - used) / COUNT, "recall": recall(found), "width": ef}


serve(work)
