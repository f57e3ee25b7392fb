"""Reads the raw files that bench/data.mjs makes."""

import re

import numpy as np


def read_embeddings(path):
    rows, columns = map(int, re.search(r"-(\d+)x(\d+)\.f32$", path).groups())
    return np.fromfile(path, np.float32).reshape(rows, columns)


def read_labels(path):
    return np.fromfile(path, np.int32)
