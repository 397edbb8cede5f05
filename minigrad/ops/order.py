"""Sorting: elements in order of size, and where they were. Gradients go where they came from."""

from __future__ import annotations

from typing import Any

from minigrad import backend, dtypes
from minigrad.backend import Array
from minigrad.ops.index import gather
from minigrad.ops.rearrange import narrow
from minigrad.ops.reduce import NAMED
from minigrad.ops.shape import _axis
from minigrad.tensor import Tensor


def _order(x: Array, axis: int, descending: bool) -> Array:
    """Indices that sort x along an axis; equal elements keep their order, NaN is the largest."""
    x, xp = backend.widened(x), backend.array_module(x)
    if not descending:
        return xp.argsort(x, axis=axis, kind="stable")
    order = xp.argsort(xp.flip(x, axis), axis=axis, kind="stable")
    return x.shape[axis] - 1 - xp.flip(order, axis)


def _sorted(name: str, x: Tensor, dim: int, descending: bool) -> Tensor:
    axis = _axis(name, dim, x.ndim)
    xp = backend.array_module(x.array)
    order = _order(x.array, axis, descending) if x.ndim else xp.zeros((), dtypes.int64)
    return Tensor(order.astype(dtypes.int64, copy=False))


def argsort(
    input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False
) -> Tensor:
    """The indices that sort the tensor along `dim`; equal elements always keep their order."""
    return _sorted("argsort", input, dim, descending)


def sort(input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False) -> Any:
    """A pair (values, indices), sorted along `dim`; equal elements always keep their order."""
    indices = _sorted("sort", input, dim, descending)
    return NAMED["sort"](gather(input, dim, indices), indices)


def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """A pair (values, indices) of the k largest (or smallest) along `dim`, in order.

    Raises:
        RuntimeError: there are not as many as k.
    """
    axis = _axis("topk", dim, input.ndim)
    size = input.shape[axis] if input.ndim else 1
    if not 0 <= k <= size:
        raise RuntimeError(f"[topk] k must be within 0 and {size}, dimension {dim}'s size, got {k}")
    if not 0 < k < size:
        found = sort(input, dim, largest)
        return NAMED["topk"](*(found if k else (narrow(x, dim, 0, 0) for x in found)))
    x = backend.widened(input.array)
    xp = backend.array_module(x)
    first, last = (size - k, size) if largest else (0, k)
    part = xp.argpartition(x, first if largest else k - 1, axis).take(xp.arange(first, last), axis)
    part = xp.sort(part, axis)  # so that of equal elements the first comes first
    order = _order(xp.take_along_axis(x, part, axis), axis, largest)
    indices = Tensor(xp.take_along_axis(part, order, axis).astype(dtypes.int64, copy=False))
    return NAMED["topk"](gather(input, dim, indices), indices)
