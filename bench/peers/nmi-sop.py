"""k-means by faiss as dcesml does it, NMI by scikit-learn."""

from embeddings import read_embeddings, read_labels
from kmeans import cluster
from side import serve, side_arguments
from sklearn.metrics import normalized_mutual_info_score

arguments = side_arguments()
x = read_embeddings(arguments["data"])
labels = read_labels(arguments["labels"])


def work():
    assignments, objective = cluster(x, int(arguments["clusters"]), 1)
    nmi = normalized_mutual_info_score(labels, assignments)
    return {"objective": objective, "nmi": nmi}


serve(work)
