"""How far the table's similarities rank pairs of texts as the model does.

python measure.py --model DIR TEXTS.jsonl.gz: one JSON object with a field "text" a line.
"""

import argparse
import gzip
import json
import pathlib

import numpy as np
from scipy.stats import spearmanr

from fit import shares
from table import Table
from teacher import Teacher


def unit(x):
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def rank_correlation(x, y, pairs=100_000, seed=4):
    """Spearman's correlation of the cosines in x and in y, over random pairs of rows."""
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, len(x), (2, pairs))
    a, b = a[a != b], b[a != b]
    x, y = unit(x), unit(y)
    return spearmanr((x[a] * x[b]).sum(axis=1), (y[a] * y[b]).sum(axis=1)).statistic


def neighbours_shared(x, y, k=10, queries=1000, seed=4):
    """The mean share of a text's k nearest others in y that are among the k nearest in x."""
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(x), min(queries, len(x)), replace=False)
    found = []
    for z in (unit(x), unit(y)):
        similarity = z[rows] @ z.T
        similarity[np.arange(len(rows)), rows] = -2
        found.append(np.argsort(-similarity, axis=1)[:, :k])
    return np.mean([len(set(p) & set(q)) / k for p, q in zip(*found, strict=True)])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder of the model's files")
    parser.add_argument("--table", default=pathlib.Path(__file__).parent.parent / "table.bin")
    parser.add_argument("texts")
    args = parser.parse_args()
    teacher = Teacher(args.model)
    with gzip.open(args.texts, "rt") as lines:
        ids = teacher.tokenize([json.loads(line)["text"] for line in lines])
    ids = [row for row in ids if row]
    want = teacher.embed(ids)
    alone = teacher.embed([[i] for i in range(teacher.vocabulary)])
    a = shares(ids, teacher.vocabulary, 1 << 20)
    for name, rows in (
        ("mean of token vectors", alone),
        ("the same, centred", alone - alone.mean(axis=0)),
        ("table", Table.read(args.table).values()),
    ):
        got = a @ rows
        print(f"{name:24} spearman {rank_correlation(got, want):.3f}  shared of 10 nearest {neighbours_shared(got, want):.3f}")


if __name__ == "__main__":
    main()
