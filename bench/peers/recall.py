"""Exact neighbours by faiss.IndexFlatL2, Recall@k and MAP@R by numpy."""

import faiss
import numpy as np
from embeddings import read_embeddings, read_labels
from side import peak_memory, serve, side_arguments

RECALL_AT = (1, 10, 100, 1000)
BLOCK = 8192

arguments = side_arguments()
queries = read_embeddings(arguments["queries"])
labels = read_labels(arguments["labels"])
own = "gallery" not in arguments
gallery = queries if own else read_embeddings(arguments["gallery"])
gallery_labels = labels if own else read_labels(arguments["gallery-labels"])


def work():
    index = faiss.IndexFlatL2(gallery.shape[1])
    index.add(gallery)
    relevant = np.bincount(gallery_labels, minlength=labels.max() + 1)[labels] - int(own)
    k = max(*RECALL_AT, relevant.max())
    found = dict.fromkeys(RECALL_AT, 0)
    average_precisions = 0.0
    for start in range(0, len(queries), BLOCK):
        stop = min(start + BLOCK, len(queries))
        _, neighbours = index.search(queries[start:stop], k + int(own))
        if own:
            # Each row without its own image: where that is not among the found, without the last.
            is_self = neighbours == np.arange(start, stop)[:, None]
            is_self[~is_self.any(1), -1] = True
            neighbours = neighbours[~is_self].reshape(stop - start, k)
        hits = gallery_labels[neighbours] == labels[start:stop, None]
        for at in RECALL_AT:
            found[at] += int(hits[:, :at].any(1).sum())
        some = relevant[start:stop]
        deepest = max(1, some.max())
        first = hits[:, :deepest] & (np.arange(deepest) < some[:, None])
        precisions = first.cumsum(1) / np.arange(1, deepest + 1)
        average_precisions += ((precisions * first).sum(1) / np.maximum(1, some)).sum()
    check = {f"R@{at}": count / len(queries) for at, count in found.items()}
    check["MAP@R"] = average_precisions / len(queries)
    return {"check": check, "peakBytes": peak_memory()}


serve(work)
