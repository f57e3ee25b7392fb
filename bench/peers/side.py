"""One side of a benchmark: prepared once, it does its work whenever the harness says so."""

import json
import resource
import sys
import time

THREADS = 2


def peak_memory():
    """The most memory this process has held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def side_arguments():
    """``--data FILE --workers 2`` -> {"data": "FILE", "workers": "2"}"""
    given = sys.argv[1:]
    return {word[2:]: given[i + 1] for i, word in enumerate(given) if word.startswith("--")}


def _answer(value):
    print(json.dumps(value), flush=True)


def serve(work, threads=THREADS):
    """Answers each line ``run`` with the time that ``work`` took and the dictionary it returns, if any."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
    if "faiss" in sys.modules:
        sys.modules["faiss"].omp_set_num_threads(threads)
    _answer({"ready": True})
    for line in sys.stdin:
        if line.strip() != "run":
            continue
        start = time.perf_counter()
        extras = work() or {}
        _answer({"seconds": time.perf_counter() - start, **extras})
