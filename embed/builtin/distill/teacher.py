"""Runs all-MiniLM-L6-v2 (a 6-layer BERT with mean pooling) with numpy alone."""

import hashlib
import json
import pathlib

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

# The input that the committed table was made from, as sha256sum writes it.
SUMS = pathlib.Path(__file__).with_name("model.sha256")


def gelu(x):
    """Replaces x by x * Phi(x), in blocks that stay in the cache.

    erf is formula 7.1.26 of Abramowitz and Stegun (absolute error below 1.5e-7), several times
    faster in numpy than scipy.special.erf.
    """
    one = np.float32(1)
    for start in range(0, len(x), 64):
        block = x[start : start + 64]
        z = np.abs(block) * np.float32(np.sqrt(0.5))
        t = one / (one + np.float32(0.3275911) * z)
        poly = np.float32(1.061405429) * t
        for c in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
            poly += np.float32(c)
            poly *= t
        z *= -z
        np.exp(z, out=z)
        poly *= z
        block *= np.float32(0.5) * (one + np.copysign(one - poly, block))


def sha256(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def verify(folder):
    """Stops the program unless the model's files are the known ones."""
    for line in SUMS.read_text().splitlines():
        want, name = line.split()
        got = sha256(folder / name)
        if got != want:
            raise SystemExit(f"{folder / name}: sha256 is {got}, want {want}")


class Teacher:
    """The sentence-transformers pipeline: WordPiece, encoder, mean pooling, unit length."""

    def __init__(self, folder):
        folder = pathlib.Path(folder)
        verify(folder)
        config = json.loads((folder / "config.json").read_text())
        self.heads = config["num_attention_heads"]
        self.layers = config["num_hidden_layers"]
        self.eps = config["layer_norm_eps"]
        self.weights = load_file(folder / "model.safetensors")
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self.vocabulary = self.tokenizer.get_vocab_size()
        self.cls = self.tokenizer.token_to_id("[CLS]")
        self.sep = self.tokenizer.token_to_id("[SEP]")

    def tokenize(self, texts):
        """Token ids of each text, without [CLS] and [SEP]."""
        encodings = self.tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [e.ids for e in encodings]

    def embed(self, token_ids, max_tokens=256, batch_tokens=2048, progress=None):
        """Unit-length float32 vectors, one a row, for lists of token ids.

        Lists longer than max_tokens - 2 are cut, as the model's own pipeline does at 256.
        Texts of one length share a batch, so no padding and no attention mask is needed.
        """
        framed = [[self.cls, *ids[: max_tokens - 2], self.sep] for ids in token_ids]
        by_length = {}
        for row, ids in enumerate(framed):
            by_length.setdefault(len(ids), []).append(row)
        out = np.empty((len(framed), 384), np.float32)
        done = 0
        for length in sorted(by_length):
            rows = by_length[length]
            step = max(1, batch_tokens // length)
            for start in range(0, len(rows), step):
                batch = rows[start : start + step]
                out[batch] = self._encode(np.array([framed[r] for r in batch]))
                done += len(batch)
                if progress:
                    progress(done, len(framed))
        return out / np.linalg.norm(out, axis=1, keepdims=True)

    def _encode(self, ids):
        w = self.weights
        texts, length = ids.shape
        x = w["embeddings.word_embeddings.weight"][ids]
        x = x + w["embeddings.position_embeddings.weight"][:length]
        x += w["embeddings.token_type_embeddings.weight"][0]
        x = self._norm(x.reshape(texts * length, -1), "embeddings.LayerNorm")
        for layer in range(self.layers):
            p = f"encoder.layer.{layer}."
            q, k, v = (
                self._linear(x, p + f"attention.self.{name}")
                .reshape(texts, length, self.heads, -1)
                .transpose(0, 2, 1, 3)
                for name in ("query", "key", "value")
            )
            scores = q @ k.transpose(0, 1, 3, 2) / np.float32(np.sqrt(q.shape[-1]))
            scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
            scores /= scores.sum(axis=-1, keepdims=True)
            mixed = (scores @ v).transpose(0, 2, 1, 3).reshape(texts * length, -1)
            x = self._norm(x + self._linear(mixed, p + "attention.output.dense"), p + "attention.output.LayerNorm")
            h = self._linear(x, p + "intermediate.dense")
            gelu(h)
            x = self._norm(x + self._linear(h, p + "output.dense"), p + "output.LayerNorm")
        return x.reshape(texts, length, -1).mean(axis=1)

    def _linear(self, x, name):
        return x @ self.weights[name + ".weight"].T + self.weights[name + ".bias"]

    def _norm(self, x, name):
        x = x - x.mean(axis=-1, keepdims=True)
        x /= np.sqrt((x * x).mean(axis=-1, keepdims=True) + np.float32(self.eps))
        return x * self.weights[name + ".weight"] + self.weights[name + ".bias"]
