"""How a tensor prints: as PyTorch prints it, `tensor([1.0000, 2.5000], requires_grad=True)`."""

from __future__ import annotations

import math

import numpy as np

from minigrad import backend, dtypes
from minigrad.tensor import Tensor


def tensor_repr(x: Tensor) -> str:
    """The text of a tensor: its values, and whatever a reader cannot tell from them."""
    array = backend.to_device(x.array, backend.CPU)
    notes = []
    if not array.size:
        values = "[]"
        if array.shape != (0,):
            notes.append(f"size={tuple(array.shape)}")
    else:
        values = np.array2string(
            array, separator=", ", prefix="tensor(", threshold=1000, edgeitems=3,
            max_line_width=80, formatter={"all": _formatter(array)},
        )
    if x.is_cuda:
        notes.append(f"device='{x.device}'")
    if array.dtype not in (dtypes.DEFAULT, dtypes.int64, dtypes.bool) or not array.size:
        notes.append(f"dtype=minigrad.{array.dtype}")
    if x.grad_fn is not None:
        notes.append(f"grad_fn=<{x.grad_fn.name()}Backward>")
    elif x.requires_grad:
        notes.append("requires_grad=True")
    return f"tensor({', '.join([values, *notes])})"


def _formatter(array: np.ndarray):  # type: ignore[no-untyped-def]
    """One format for all elements, as wide as the widest needs."""
    if array.dtype.kind not in "fc":
        width = max(len(str(value)) for value in _shown(array))
        return lambda value: str(value).rjust(width)
    finite = [abs(float(v)) for v in _shown(array) if array.dtype.kind == "f" and math.isfinite(v)]
    largest, nonzero = max(finite, default=0.0), [v for v in finite if v]
    if array.dtype.kind == "c":
        spec = ""
    elif all(v == math.floor(v) for v in finite) and largest < 1e8:
        spec = ".0f"
    elif largest >= 1e8 or (nonzero and (min(nonzero) < 1e-4 or largest / min(nonzero) > 1e3)):
        spec = ".4e"
    else:
        spec = ".4f"

    def text(value: float) -> str:
        return format(value, spec) + ("." if spec == ".0f" and math.isfinite(value) else "")

    width = max(len(text(value)) for value in _shown(array))
    return lambda value: text(value).rjust(width)


def _shown(array: np.ndarray) -> list:
    """The values that are printed: all of a small tensor, the corners of a large one."""
    if array.size > 1000:
        for axis in range(array.ndim):
            if array.shape[axis] > 6:
                array = np.concatenate(
                    [array.take(range(3), axis), array.take(range(-3, 0), axis)], axis
                )
    return array.ravel().tolist()
