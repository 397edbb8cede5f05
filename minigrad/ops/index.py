"""Indexing: x[slices, integers, arrays, masks], and assignment to it.

Basic indices (integers and slices) give views, and backward writes g where they point. Array
indices may name an element several times; then its gradients add up.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad import backend, kernels
from minigrad.autograd import Function
from minigrad.backend import Array
from minigrad.ops.convert import to
from minigrad.ops.shape import _axis, expand, reshape
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


class Gather(Function):
    """y = x[i, index[i, j]] for dim 1, and so on;  dL/dx[i, index[i, j]] += g[i, j].

    `where` holds positions in x's row-major memory.
    """

    def forward(self, x: Array, *, where: Array) -> Array:
        self.shape, self.where = x.shape, where
        return x.reshape(-1)[where]

    def backward(self, g: Array) -> Array:
        gx = kernels.of(g).zeros(self.shape, g.dtype)
        kernels.of(g).index_add(gx.reshape(-1), self.where.reshape(-1), g.reshape(-1))
        return gx


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


def gather(input: Tensor, dim: int, index: Tensor, *, sparse_grad: bool = False) -> Tensor:
    """Elements of the input, picked by their position along `dim`, in the shape of `index`.

    For dim 1 and two dimensions: result[i, j] = input[i, index[i, j]].

    Raises:
        RuntimeError: index is no integer tensor, has other dimensions than the input or is larger
            than it in one but `dim`, or (on the CPU) names a position that there is not.
        NotImplementedError: sparse_grad.
    """
    if sparse_grad:
        raise NotImplementedError("[gather] sparse gradients do not exist here")
    x = input if input.ndim else reshape(input, (1,))
    axis, places = _axis("gather", dim, x.ndim), index.array
    backend.same_device("gather", [x.array, places])
    if places.dtype.kind not in "iu":
        raise RuntimeError(f"[gather] expected an integer tensor as index, got {index.dtype}")
    if not input.ndim and index.ndim < 2:
        places = places.reshape(-1)
    size, large = x.shape[axis], [i > n for i, n in zip(places.shape, x.shape, strict=False)]
    if places.size and (places.ndim != x.ndim or any(large[:axis] + large[axis + 1 :])):
        raise RuntimeError(
            f"[gather] index of shape {tuple(index.shape)} does not fit input of shape "
            f"{tuple(input.shape)}: it must have as many dimensions, and, except in dimension "
            f"{axis}, be no larger"
        )
    # A GPU, which would have to be waited for, is not asked.
    if places.size and not (input.is_cuda or 0 <= places.min() <= places.max() < size):
        raise RuntimeError(f"[gather] index out of range: expected 0 to {size - 1}")
    where = places.astype(np.int64) * math.prod(x.shape[axis + 1 :])
    for i in range(places.ndim if places.size else 0):
        if i != axis:  # every other position is the element's own
            line = backend.array_module(where).arange(where.shape[i]) * math.prod(x.shape[i + 1 :])
            where += line.reshape(-1, *[1] * (where.ndim - i - 1))
    return reshape(Gather.apply(x, where=where), index.shape)


def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The slices along `dim` that `index`, a vector of integers, names."""
    axis = _axis("index_select", dim, input.ndim)
    if index.ndim > 1 or index.dtype.kind not in "iu":
        raise (IndexError if index.ndim > 1 else RuntimeError)(
            f"[index_select] expected a vector of integers, got {index.ndim}-D {index.dtype}"
        )
    if not index.is_cuda and (index.array < 0).any():
        raise IndexError("[index_select] index must not be negative")
    if not input.ndim:
        return reshape(reshape(input, (1,))[reshape(index, (-1,))], ())
    return input[(slice(None),) * axis + (reshape(index, (-1,)),)]
