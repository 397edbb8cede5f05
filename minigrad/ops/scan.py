"""Sums of all elements so far, and products of all but one: what needs its neighbours in order."""

from __future__ import annotations

from typing import Any

from minigrad import backend, dtypes
from minigrad.autograd import Function
from minigrad.backend import Array
from minigrad.ops.convert import clone
from minigrad.ops.reduce import _counted
from minigrad.ops.shape import _axis, reshape
from minigrad.tensor import Tensor


class CumSum(Function):
    """y_i = x_0 + ... + x_i;  dL/dx_i = g_i + g_(i+1) + ..., the same from the other end."""

    def forward(self, x: Array, *, axis: int) -> Array:
        self.axis = axis
        wide = x.astype(dtypes.float64 if x.dtype.kind in "fV" else x.dtype)  # PyTorch's, too
        return backend.array_module(x).cumsum(wide, axis, out=wide).astype(x.dtype, copy=False)

    def backward(self, g: Array) -> Array:
        flip = backend.array_module(g).flip
        return flip(self.forward(flip(g, self.axis), axis=self.axis), self.axis)


class Prod(Function):
    """y = the product of all x_i;  dL/dx_i = g times the product of the others.

    It is taken as what comes before i times what comes after: y / x_i would fail at x_i = 0.
    """

    def forward(self, x: Array, *, axis: int, keepdim: bool) -> Array:
        self.save_for_backward(x)
        self.axis, self.keepdim = axis, keepdim
        y = x.prod(axis, keepdims=keepdim, dtype=dtypes.accumulator(x.dtype))
        return y.astype(x.dtype, copy=False)

    def backward(self, g: Array) -> Array:
        (x,) = self.saved_tensors
        xp = backend.array_module(x)
        x = xp.moveaxis(x, self.axis, -1)
        before, after = xp.ones_like(x), xp.ones_like(x)
        before[..., 1:] = x[..., :-1].cumprod(-1)
        after[..., :-1] = x[..., :0:-1].cumprod(-1)[..., ::-1]
        g = g if self.keepdim else xp.expand_dims(g, self.axis)
        return g * xp.moveaxis(before * after, -1, self.axis)


def cumsum(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """The sum of each element and all before it along `dim`; integers and bools sum to int64."""
    x = _counted(input, dtype)
    axis = _axis("cumsum", dim, x.ndim)
    return CumSum.apply(x, axis=axis) if x.ndim else clone(x)


def prod(
    input: Tensor, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """The product of all elements or along `dim`; integers and bools multiply to int64."""
    x = _counted(input, dtype)
    axis = _axis("prod", 0 if dim is None else dim, x.ndim)
    if dim is None or not x.ndim:
        x, keepdim = reshape(x, (-1,)), False
    return Prod.apply(x, axis=axis, keepdim=keepdim)
