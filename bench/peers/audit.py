"""What cleanlab and cleanvision find in a folder's images, by the rows and labels beside them: JSON on the standard output."""
import contextlib
import io
import json
import sys
import warnings

import numpy
from cleanlab import Datalab
from cleanlab.filter import find_label_issues
from cleanvision import Imagelab
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict

warnings.filterwarnings("ignore")
folder = sys.argv[1]
with open(f"{folder}/images.json") as file:
    images = json.load(file)
paths, labels = images["paths"], numpy.array(images["labels"])
rows = numpy.fromfile(f"{folder}/rows.f32", numpy.float32).reshape(len(paths), -1)
place = {path: at for at, path in enumerate(paths)}


def pairs(sets):
    return [[place[a], place[b]] for group in sets for at, a in enumerate(group) for b in group[at + 1 :]]


with contextlib.redirect_stdout(io.StringIO()):
    # Its own way: probabilities of a classifier by cross-validation on the same features.
    classifier = LogisticRegression(C=10, max_iter=300)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    probabilities = cross_val_predict(classifier, rows * 5, labels, cv=folds, method="predict_proba")
    wrong = numpy.flatnonzero(find_label_issues(labels, probabilities))
    lab = Datalab({"label": labels}, label_name="label")
    lab.find_issues(features=rows, issue_types={"outlier": {}, "near_duplicate": {}})
    near = lab.get_issues("near_duplicate")
    look = Imagelab(filepaths=paths)
    look.find_issues({"exact_duplicates": {}, "near_duplicates": {}})

near_rows = {
    tuple(sorted((at, int(other))))
    for at, others in enumerate(near["near_duplicate_sets"])
    if near["is_near_duplicate_issue"].iloc[at]
    for other in others
}
print(
    json.dumps(
        {
            "wrong": wrong.tolist(),
            "outliers": numpy.flatnonzero(lab.get_issues("outlier")["is_outlier_issue"]).tolist(),
            "nearRows": [list(pair) for pair in near_rows],
            "exact": pairs(look.info["exact_duplicates"]["sets"]),
            "near": pairs(look.info["near_duplicates"]["sets"]),
        }
    )
)
