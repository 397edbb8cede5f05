"""Indexing: x[slices, integers, arrays, masks], and assignment to it.

Basic indices (integers and slices) give views, and backward writes g where they point. Array
indices may name an element several times; then its gradients add up.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad import backend, kernels
from minigrad.autograd import Function
from minigrad.backend import Array
from minigrad.ops.convert import to
from minigrad.ops.shape import expand
from minigrad.tensor import Tensor, array_from


class GetItem(Function):
    """y = x[index];  dL/dx is zero but for dL/dx[index] += g."""

    is_view = True

    def forward(self, x: Array, *, index: Any) -> Array:
        self.shape, self.index = x.shape, index
        return _select(x, index)

    def backward(self, g: Array) -> Array:
        gx = kernels.of(g).zeros(self.shape, g.dtype)
        if _repeats(self.index):
            kernels.of(g).index_add(gx, self.index, g)
        else:
            gx[self.index] = g
        return gx


class SetItem(Function):
    """y = x with y[index] = v;  dL/dv = g[index], and dL/dx = g with zeros there."""

    def forward(self, x: Array, v: Array, *, index: Any) -> Array:
        self.index = index
        y = x.copy()
        y[index] = v
        return y

    def backward(self, g: Array) -> tuple[Array | None, Array | None]:
        gx = gv = None
        if self.needs_input_grad[0]:
            gx = g.copy()
            gx[self.index] = 0
        if self.needs_input_grad[1]:
            gv = backend.array_module(g).asarray(g[self.index])
        return gx, gv


def _select(x: Array, index: Any) -> Array:
    """x[index]: a view where NumPy can give one, and never a bare number."""
    try:
        y = x[index]
        if isinstance(y, np.generic):  # one element; with "..." it comes as a view
            y = x[(*index, ...) if isinstance(index, tuple) else (index, ...)]
    except IndexError as error:
        raise IndexError(f"{error} (tensor of shape {x.shape})") from None
    return y


def _repeats(index: Any) -> bool:
    """Whether an index might name one element twice: only arrays of integers can."""
    parts = index if isinstance(index, tuple) else (index,)
    return any(hasattr(part, "dtype") and part.dtype.kind in "iu" for part in parts)


def _raw(index: Any, like: Array) -> Any:
    """An index as the array module takes it: tensors and lists become arrays beside `like`."""
    if isinstance(index, tuple):
        return tuple(_raw(part, like) for part in index)
    if isinstance(index, (Tensor, np.ndarray, list)):
        array = array_from(index)
        if not array.size and array.dtype.kind == "f":
            array = array.astype(np.int64)  # x[[]]: an empty list has no dtype of its own
        if array.dtype.kind not in "iub":
            raise IndexError(f"indices must be integers or bools, not {array.dtype}")
        if array.ndim == 0 and array.dtype.kind in "iu":
            return int(array)
        return backend.to_device(array, backend.device_of(like))
    return index


def getitem(input: Tensor, index: Any) -> Tensor:
    """input[index], with slices, integers, None, Ellipsis, integer arrays and masks."""
    return GetItem.apply(input, index=_raw(index, input.array))


def index_put(input: Tensor, index: Any, value: Any) -> Tensor:
    """`input` with `value`, broadcast, at `index`: what `input[index] = value` writes."""
    raw = _raw(index, input.array)
    value = value if isinstance(value, Tensor) else Tensor(array_from(value))
    value = to(value, input.device, input.dtype)
    target = _select(input.array, raw).shape
    while value.ndim > len(target) and value.shape[0] == 1:
        value = value[0]  # NumPy and PyTorch both drop leading ones here
    return SetItem.apply(input, expand(value, target), index=raw)
