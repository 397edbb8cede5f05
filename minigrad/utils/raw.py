"""From bytes on a disk to arrays: what safetensors, .npz and .pth have in common.

The kinds of numbers carry safetensors' names. Every reader turns whatever is wrong with a file into
one `LoadError`. Next: `serialization.py`.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from minigrad import dtypes

ByteOrder = Literal["<", ">"]  # little or big endian

DTYPES: dict[str, np.dtype[Any]] = {  # the dtype that each kind becomes
    "F64": dtypes.float64, "F32": dtypes.float32, "F16": dtypes.float16, "BF16": dtypes.float32,
    "I64": dtypes.int64, "I32": dtypes.int32, "I16": dtypes.int16, "I8": dtypes.int8,
    "U8": dtypes.uint8, "BOOL": dtypes.bool,
}
RANK = 8  # more dimensions than any weight has


class LoadError(ValueError):
    """A file that cannot be loaded, or must not be; one line that says which, where and why."""


def item_bytes(kind: str) -> int:
    """The bytes of one number in the file."""
    return 2 if kind == "BF16" else DTYPES[kind].itemsize


def decode(content: bytes | bytearray, kind: str, order: ByteOrder = "<") -> np.ndarray:
    """The numbers in `content` as an array (N,).

    bfloat16 is the upper half of a float32 and becomes one, exactly. The array may be a view of
    `content`.
    """
    if kind == "BF16":
        return (np.frombuffer(content, f"{order}u2").astype(np.uint32) << 16).view(np.float32)
    if kind == "BOOL":
        return np.frombuffer(content, np.uint8) != 0  # NumPy computes nonsense with a True of 2
    stored = np.frombuffer(content, DTYPES[kind].newbyteorder(order))
    return stored.astype(DTYPES[kind], copy=False)
