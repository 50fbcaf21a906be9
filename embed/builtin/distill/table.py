"""The table file that the Go code embeds; ../table.go describes the format."""

import pathlib
import struct

import numpy as np

MAGIC = b"SENTVEC1"
BIAS = 128


class Table:
    """Biased bytes and a scale a dimension."""

    def __init__(self, scale, rows):
        self.scale, self.rows = scale, rows

    @classmethod
    def quantize(cls, values, clip):
        """Rounds to 255 steps a dimension; the greatest share 1 - clip of magnitudes is cut."""
        scale = (np.quantile(np.abs(values), clip, axis=0) / 127).astype(np.float32)
        steps = np.clip(np.rint(values / scale), -127, 127)
        return cls(scale, (steps + BIAS).astype(np.uint8))

    @classmethod
    def read(cls, path):
        data = pathlib.Path(path).read_bytes()
        if not data.startswith(MAGIC):
            raise SystemExit(f"{path}: not a table")
        count, dimension = struct.unpack_from("<II", data, len(MAGIC))
        start = len(MAGIC) + 8
        scale = np.frombuffer(data, "<f4", dimension, start)
        rows = np.frombuffer(data, np.uint8, offset=start + 4 * dimension).reshape(count, dimension)
        return cls(scale, rows)

    def write(self, path):
        count, dimension = self.rows.shape
        header = MAGIC + struct.pack("<II", count, dimension) + self.scale.astype("<f4").tobytes()
        pathlib.Path(path).write_bytes(header + self.rows.tobytes())

    def values(self):
        return (self.rows.astype(np.float32) - BIAS) * self.scale

    def embed(self, ids):
        """The unit vector of token ids; zeros without any."""
        total = (self.rows[list(ids)].astype(np.int64) - BIAS).sum(axis=0) * self.scale.astype(np.float64)
        length = np.linalg.norm(total)
        return total / length if length > 0 else total
