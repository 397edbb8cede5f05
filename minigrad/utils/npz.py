"""NumPy's .npz: a zip archive with one .npy file an array.

`numpy.load` would reserve the memory that a header asks for before it sees how much there is, and
knows arrays of Python objects, which are pickles. This reader knows arrays of numbers.
Source: NumPy, `numpy.lib.format`. Next: `pth.py`.
"""

from __future__ import annotations

import ast
from math import prod

import numpy as np

from minigrad.tensor import Tensor
from minigrad.utils.archive import Archive
from minigrad.utils.raw import DTYPES, RANK, ByteOrder, LoadError, decode, item_bytes

MAGIC = b"\x93NUMPY"
HEADER_BYTES = 10_000
ORDERS: tuple[ByteOrder, ByteOrder] = ("<", ">")
KINDS = {  # "<f4" is ("F32", "<")
    dtype.newbyteorder(order).str: (kind, order)
    for kind, dtype in DTYPES.items() if kind != "BF16" for order in ORDERS
}


def read_npz(archive: Archive) -> dict[str, Tensor]:
    """The arrays of an .npz by name, without the suffix .npy that they have inside.

    Raises:
        LoadError: a record is no .npy of numbers, or its header does not fit its size.
    """
    tensors = {}
    for name in archive.records:
        try:
            tensors[name.removesuffix(".npy")] = Tensor(_array(archive.read(name)))
        except LoadError as error:
            raise LoadError(f"record {name!r}: {error}") from None
    return tensors


def _array(content: bytes) -> np.ndarray:
    """A .npy: magic, version (2 bytes), length of the header (2 bytes, from version 2 on 4), a dict
    as Python writes it, numbers."""
    start = 10 if content[6:7] == b"\x01" else 12
    stop = start + int.from_bytes(content[8:start], "little")
    if content[:6] != MAGIC or content[6:7] not in (b"\x01", b"\x02") or len(content) < stop:
        raise LoadError("no .npy of version 1 or 2, or a truncated one")
    if stop > HEADER_BYTES:
        raise LoadError(f"a header of {stop} bytes, at most {HEADER_BYTES} are allowed")
    try:
        header = ast.literal_eval(content[start:stop].decode("latin-1").strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        header = None
    match header:
        case {"descr": str(descr), "fortran_order": bool(fortran), "shape": tuple(shape)} if (
            all(type(n) is int and n >= 0 for n in shape)
        ):
            pass
        case {"descr": descr}:
            raise LoadError(f"its header asks for {descr!r:.80}, no plain array of numbers")
        case _:
            raise LoadError("its header cannot be read")
    if descr not in KINDS:
        what = "Python objects, which are pickles" if "O" in descr else f"dtype {descr!r:.20}"
        raise LoadError(f"it holds {what}; supported are {', '.join(sorted(KINDS))}")
    kind, order = KINDS[descr]
    numbers = content[stop:]
    if len(shape) > RANK or prod(shape) * item_bytes(kind) != len(numbers):
        raise LoadError(f"its header says {shape!s:.80}, which is not what its size is")
    return decode(numbers, kind, order).reshape(shape, order="F" if fortran else "C").copy("C")
