"""Writes what the model says of the texts of the eval suite `embedding`, so that the suite needs no model.

python reference.py --model DIR: reads texts.jsonl, one JSON object with a field "text" a line, and writes reference.bin
beside it. To be run again whenever a text is changed or added. ../../../evals/embedding/reference.go describes the format.
"""

import argparse
import hashlib
import json
import pathlib
import struct

import numpy as np

import corpus
from measure import rank_correlation
from teacher import Teacher

MAGIC = b"SENTREF1"
FOLDER = pathlib.Path(__file__).resolve().parents[3] / "evals" / "embedding"
RUN = 5  # words in a row that a text must not share with a template that the table was fitted on


def runs(text):
    """All runs of RUN words of a text; a slot of a template ends a run."""
    found = set()
    for part in text.lower().replace("{", "|").replace("}", "|").split("|"):
        words = "".join(c if c.isalnum() else " " for c in part).split()
        found.update(tuple(words[i : i + RUN]) for i in range(len(words) - RUN + 1))
    return found


def fitted_on(texts):
    """The texts that share a run of words with what corpus.py writes itself."""
    written = set().union(*(runs(t) for t in (*corpus.TOPICS, *corpus.ASKS, *corpus.EXTRAS)))
    return [t for t in texts if runs(t) & written]


def quantize(vectors):
    """Signed bytes, each row scaled to its own greatest magnitude: only its direction is kept."""
    return np.rint(vectors / np.abs(vectors).max(axis=1, keepdims=True) * 127).astype(np.int8)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder of the model's files")
    parser.add_argument("--folder", type=pathlib.Path, default=FOLDER)
    args = parser.parse_args()

    data = (args.folder / "texts.jsonl").read_bytes()
    texts = [json.loads(line)["text"] for line in data.decode().splitlines()]
    for text in fitted_on(texts):
        raise SystemExit(f"the table was fitted on words of this text: {text}")

    teacher = Teacher(args.model)
    vectors = teacher.embed(teacher.tokenize(texts))
    rows = quantize(vectors)
    print(f"{len(rows)} texts, spearman of the bytes with the model itself {rank_correlation(rows.astype(np.float32), vectors):.5f}")
    header = MAGIC + struct.pack("<II", *rows.shape) + hashlib.sha256(data).digest()
    (args.folder / "reference.bin").write_bytes(header + rows.tobytes())


if __name__ == "__main__":
    main()
