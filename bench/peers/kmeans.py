"""faiss.Clustering as dcesml calls it: 100 iterations (``--iterations``: another number), no limit of points per centroid."""

import faiss
from embeddings import read_embeddings
from side import serve, side_arguments

arguments = side_arguments()
x = read_embeddings(arguments["data"])
seed = 0


def cluster(x, clusters, seed, iterations=100):
    """-> (assignments, objective): faiss's own objective is that of the iteration before its last centroids."""
    clustering = faiss.Clustering(x.shape[1], clusters)
    clustering.niter = iterations
    clustering.max_points_per_centroid = 10_000_000
    clustering.min_points_per_centroid = 1
    clustering.seed = seed
    index = faiss.IndexFlatL2(x.shape[1])
    clustering.train(x, index)
    distances, nearest = index.search(x, 1)
    return nearest[:, 0], float(distances.sum(dtype="float64"))


def work():
    global seed
    seed += 1
    return {"objective": cluster(x, int(arguments["clusters"]), seed, int(arguments.get("iterations", "100")))[1]}


if __name__ == "__main__":
    serve(work)
