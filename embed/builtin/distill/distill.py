"""Makes table.bin, vocab.txt, the golden test data and their check sums. README.md says how to run it."""

import argparse
import pathlib
import shutil
import sys

import numpy as np

import corpus
import fit
import golden
from measure import neighbours_shared, rank_correlation
from table import Table
from teacher import Teacher, sha256

DIMENSION = 256
TEXTS = 50_000  # to fit on and check with
HELD_OUT = 2_500  # of them, to check with
MAX_TOKENS = 94  # read of each, [CLS] and [SEP] aside
SIF = 3e-3
RIDGE = 0.03
ROUNDS = 2
ITERATIONS = 12
CLIP = 0.9999


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, type=pathlib.Path, help="folder of the model's files")
    parser.add_argument("--lists", required=True, help="folder of apt lists with Translation-en")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent.parent)
    args = parser.parse_args()

    teacher = Teacher(args.model)
    texts, background = corpus.build(args.lists, TEXTS, teacher.tokenize)
    ids = teacher.tokenize(texts)
    counts = np.zeros(teacher.vocabulary, np.int64)
    for row in teacher.tokenize(background):
        np.add.at(counts, row, 1)
    print(f"{len(texts)} texts to fit, {counts.sum()} background tokens")

    alone = teacher.embed([[i] for i in range(teacher.vocabulary)], progress=progress("tokens"))
    whole = teacher.embed(ids, max_tokens=MAX_TOKENS + 2, progress=progress("texts"))

    a = fit.shares(ids, teacher.vocabulary, MAX_TOKENS)
    train, check = slice(0, len(ids) - HELD_OUT), slice(len(ids) - HELD_OUT, len(ids))
    mean, axes = fit.components(whole[train], DIMENSION)
    target = (whole[train] - mean) @ axes
    start = fit.token_start(alone, fit.inverse_frequency(counts, SIF), a[train], target)
    fitted = fit.token_table(start, a[train], target, RIDGE, ROUNDS, ITERATIONS)
    table = Table.quantize(fitted, CLIP)
    for name, rows in (
        ("mean of token vectors", alone),
        ("the same, centred", alone - alone.mean(axis=0)),
        ("linear map", start),
        ("fitted", fitted),
        ("fitted, in bytes", table.values()),
    ):
        got = a[check] @ rows
        print(
            f"{name:24} held out: spearman {rank_correlation(got, whole[check]):.3f}"
            f"  shared of 10 nearest {neighbours_shared(got, whole[check]):.3f}"
        )

    table.write(args.out / "table.bin")
    shutil.copyfile(args.model / "vocab.txt", args.out / "vocab.txt")
    (args.out / "testdata").mkdir(exist_ok=True)
    golden.write(args.out / "testdata", teacher.tokenize, table)
    names = ("table.bin", "vocab.txt", "testdata/tokens.json", "testdata/vectors.json")
    (args.out / "SHA256SUMS").write_text("".join(f"{sha256(args.out / n)}  {n}\n" for n in names))


def progress(what):
    def show(done, total):
        end = "\n" if done == total else ""
        print(f"\r{what}: {done} of {total}", end=end, file=sys.stderr, flush=True)

    return show


if __name__ == "__main__":
    main()
