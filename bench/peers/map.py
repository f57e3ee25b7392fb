"""umap-learn: rows of float32 laid out in the plane."""

import time

import numpy
import umap
from side import serve, side_arguments

arguments = side_arguments()
rows = numpy.fromfile(arguments["data"], dtype=numpy.float32).reshape(-1, int(arguments["dim"]))


def layout(some):
    # Without a seed it uses all threads.
    return umap.UMAP(n_neighbors=15, n_jobs=2).fit_transform(some)


def work():
    before = time.process_time()
    points = layout(rows)
    used = time.process_time() - before
    points.astype(numpy.float32).tofile(arguments["out"])
    return {"used": used}


# What numba compiles is compiled here: the other way of searching neighbours begins at 4,096 rows.
layout(rows[:5000])
serve(work)
