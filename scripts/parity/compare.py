"""What pytorch-metric-learning and open-metric-learning make of fixed rows, in float64: reads a request as JSON from the standard
input, {x, labels, tuples, cases: {name: {kind, make, weights}}}, and answers with a value and gradients, tuples, or metrics."""

import json
import sys
import warnings

import torch
import torch.library

warnings.filterwarnings("ignore")
torch.set_default_dtype(torch.float64)

# torchvision's operators load beside one build of torch alone; nothing here calls one.
real = torch.library.register_fake
torch.library.register_fake = lambda op, *a, **k: (lambda f: f) if op.startswith("torchvision::") else real(op, *a, **k)

request = json.load(sys.stdin)
labels = torch.tensor(request["labels"])
scope = {"torch": torch, "classes": request["classes"], "dim": len(request["x"][0])}
if request["package"] == "pytorch_metric_learning":
    from pytorch_metric_learning import distances, losses, miners, reducers, regularizers
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

    scope |= dict(distances=distances, losses=losses, miners=miners, reducers=reducers, regularizers=regularizers)
else:
    from oml.functional import metrics
    from oml.losses.arcface import ArcFaceLoss
    from oml.losses.triplet import TripletLoss
    from oml.miners.inbatch_all_tri import AllTripletsMiner
    from oml.miners.inbatch_hard_tri import HardTripletsMiner

    scope |= dict(ArcFaceLoss=ArcFaceLoss, TripletLoss=TripletLoss, AllTripletsMiner=AllTripletsMiner, HardTripletsMiner=HardTripletsMiner)


def loss_of(case):
    x = torch.tensor(request["x"]).requires_grad_()
    loss = eval(case["make"], scope)
    weights = None
    if case.get("weights"):
        name = case["weights"]["theirs"]
        holder = loss
        for part in name.split(".")[:-1]:
            holder = getattr(holder, part)
        given = torch.tensor(case["weights"]["values"])
        weights = torch.nn.Parameter(given.t().contiguous() if case["weights"]["transposed"] else given)
        setattr(holder, name.split(".")[-1], weights)
    if case.get("miner"):
        found = eval(case["miner"], scope)(x, labels)
    else:
        found = tuple(torch.tensor(request["tuples"][i]) for i in range(3)) if case.get("tuples") else None
    if request["package"] == "oml":
        unit = torch.nn.functional.normalize(x)
        a, p, n = (torch.tensor(part) for part in request["tuples"])
        value = loss(unit[a], unit[p], unit[n]) if case.get("tuples") else loss(unit, labels)
    else:
        rows = torch.nn.functional.normalize(x) if case.get("unit") else x
        value = loss(rows, labels, found) if found is not None else loss(rows, labels)
    value.backward()
    gradients = [x.grad.flatten().tolist()]
    if weights is not None:
        grad = weights.grad.t().contiguous() if case["weights"]["transposed"] else weights.grad
        gradients.append(grad.flatten().tolist())
    return {"value": value.item(), "gradients": gradients}


def tuples_of(case):
    x = torch.nn.functional.normalize(torch.tensor(request["x"]))
    miner = eval(case["make"], scope)
    found = miner.sample(x, labels.tolist()) if request["package"] == "oml" else miner(x, labels)
    if request["package"] == "oml":
        rows = [[tuple(row) for row in x.tolist()].index(tuple(one)) if not isinstance(one, int) else one for part in found for one in part.tolist()]
        size = len(rows) // 3
        return [rows[:size], rows[size : 2 * size], rows[2 * size :]]
    return [part.tolist() for part in found]


def metrics_of(case):
    x = torch.nn.functional.normalize(torch.tensor(request["x"]))
    if request["package"] == "pytorch_metric_learning":
        found = AccuracyCalculator(include=(*case["names"], "precision_at_1"), k=None).get_accuracy(x.float(), labels)
        return {name: float(found[name]) for name in case["names"]}
    distances = torch.cdist(x, x)
    same = labels[:, None] == labels[None, :]
    upper = torch.triu(torch.ones_like(same), diagonal=1)
    pairs = dict(positives=distances[same & upper].numpy(), negatives=distances[~same & upper].numpy())
    distances.fill_diagonal_(float("inf"))
    order = distances.argsort(dim=1, stable=True)[:, : len(labels) - 1]
    hits = list(labels[order] == labels[:, None])
    counts = [int((labels == label).sum()) - 1 for label in labels]
    given = scope | pairs | dict(metrics=metrics, hits=hits, counts=counts, x=x)
    return {name: float(eval(code, given)) for name, code in case["names"].items()}


kinds = {"loss": loss_of, "miner": tuples_of, "metrics": metrics_of}
answers = {}
for name, case in request["cases"].items():
    try:
        answers[name] = kinds[case["kind"]](case)
    except Exception as error:  # told in the table, not lost
        answers[name] = {"error": f"{type(error).__name__}: {error}"}
print(json.dumps(answers))
