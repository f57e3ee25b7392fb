"""Exact search by the inner product: faiss IndexFlatIP."""

import time

import faiss
import numpy
from side import serve, side_arguments

arguments = side_arguments()
dim = int(arguments["dim"])
rows = numpy.fromfile(arguments["data"], dtype=numpy.float32).reshape(-1, dim)
queries = numpy.fromfile(arguments["queries"], dtype=numpy.float32).reshape(-1, dim)
index = faiss.IndexFlatIP(dim)
index.add(rows)
del rows
turn = 0


def timed(some):
    start = time.perf_counter()
    found = index.search(some, 10)[1]
    return time.perf_counter() - start, found


def work():
    global turn
    first = (256 + turn) % 1000
    turn += 1
    one, _ = timed(queries[first : first + 1])
    batch, found = timed(queries[:256])
    return {"one": one, "batch": batch, "check": int(found.sum())}


serve(work)
