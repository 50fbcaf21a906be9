"""From vectors of single tokens and of whole texts to a table of token vectors whose sum is near to the text's.

With A[i, t] the share of token t in text i, and T the model's vectors of the texts on their principal components, the
table E minimises, over texts i, |A[i] E / s[i] - T[i]|² + ridge * |E - E0|². E0 is what tokens alone tell: their own
vectors, centred, weighted by inverse frequency and mapped linearly onto the components. Tokens that no text has keep
their row of E0. The scales s make the lengths of both sides equal, since only directions count in the end.
"""

import numpy as np
from scipy import sparse


def shares(token_ids, vocabulary, max_tokens):
    """The sparse matrix A of the first max_tokens tokens of each text."""
    ids = [row[:max_tokens] for row in token_ids]
    ends = np.cumsum([0, *map(len, ids)])
    columns = np.concatenate([np.asarray(row, np.int32) for row in ids])
    values = np.concatenate([np.full(len(row), 1 / max(len(row), 1), np.float32) for row in ids])
    a = sparse.csr_matrix((values, columns, ends), shape=(len(ids), vocabulary))
    a.sum_duplicates()
    return a


def inverse_frequency(counts, a):
    """SIF weights a / (a + p), p being the smoothed relative frequency."""
    p = (counts + 1) / (counts.sum() + len(counts))
    return (a / (a + p)).astype(np.float32)


def components(text_vectors, dimension):
    """The text vectors' mean and their first principal components, as columns."""
    mean = text_vectors.mean(axis=0)
    values, axes = np.linalg.eigh(np.cov((text_vectors - mean).T))
    return mean, axes[:, np.argsort(-values)[:dimension]].astype(np.float32)


def token_start(token_vectors, weights, a, target):
    """E0, by ridge regression with an intercept; the intercept is added to each row, as shares add up to 1."""
    w = weights[:, None] * (token_vectors - token_vectors.mean(axis=0))
    f = a @ w
    f = np.hstack([f, np.ones((f.shape[0], 1), np.float32)]).astype(np.float64)
    gram = f.T @ f
    width = w.shape[1]
    gram[range(width), range(width)] += 1e-3 * np.trace(gram[:width, :width]) / width
    b = np.linalg.solve(gram, f.T @ target).astype(np.float32)
    return w @ b[:-1] + b[-1]


def token_table(start, a, target, ridge, rounds, iterations):
    """E, by conjugate gradients from start, in rounds that renew the scales s."""
    table = start
    length = np.linalg.norm(target, axis=1)
    for _ in range(rounds):
        ratio = np.linalg.norm(a @ table, axis=1) / length
        ratio = np.clip(ratio / np.exp(np.log(ratio).mean()), 0.2, 5).astype(np.float32)
        scaled = (sparse.diags(1 / ratio) @ a).tocsr()
        table = start + _least_squares(scaled, target - scaled @ start, np.float32(ridge), iterations)
    return table


def _least_squares(a, b, ridge, iterations):
    """x that minimises |a x - b|² + ridge |x|², all columns at once, preconditioned by the diagonal."""
    at = a.T.tocsr()
    diagonal = np.asarray(a.multiply(a).sum(axis=0)).reshape(-1, 1).astype(np.float32) + ridge
    x = np.zeros((a.shape[1], b.shape[1]), np.float32)
    residual = at @ b
    z = residual / diagonal
    direction = z.copy()
    energy = (residual * z).sum(axis=0)
    for _ in range(iterations):
        q = at @ (a @ direction) + ridge * direction
        step = energy / np.maximum((direction * q).sum(axis=0), 1e-20)
        x += step * direction
        residual -= step * q
        z = residual / diagonal
        before, energy = energy, (residual * z).sum(axis=0)
        direction = z + energy / np.maximum(before, 1e-20) * direction
    return x
