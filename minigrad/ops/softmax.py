"""Softmax, its logarithm and its denominator's: scores become probabilities along a dimension."""

from __future__ import annotations

from typing import Any

from minigrad import backend, dtypes, kernels
from minigrad.autograd import Function
from minigrad.backend import Array
from minigrad.ops.convert import to
from minigrad.ops.elementwise import _promoted
from minigrad.ops.reduce import Axes, _axes, _restore
from minigrad.ops.shape import _axis, reshape
from minigrad.tensor import Tensor


class Softmax(Function):
    """y_i = e^x_i / sum_j e^x_j;  dL/dx = y (g - sum_j g_j y_j)."""

    def forward(self, x: Array, *, axis: int) -> Array:
        self.axis = axis
        y = kernels.of(x).softmax(x, axis)
        self.save_for_backward(y)
        return y

    def backward(self, g: Array) -> Array:
        (y,) = self.saved_tensors
        return kernels.of(g).softmax_backward(g, y, self.axis)


class LogSoftmax(Function):
    """y_i = x_i - log sum_j e^x_j;  dL/dx = g - e^y sum_j g_j."""

    def forward(self, x: Array, *, axis: int) -> Array:
        self.axis = axis
        y = kernels.of(x).log_softmax(x, axis)
        self.save_for_backward(y)
        return y

    def backward(self, g: Array) -> Array:
        (y,) = self.saved_tensors
        return kernels.of(g).log_softmax_backward(g, y, self.axis)


class LogSumExp(Function):
    """y = log sum e^x_i, as m + log sum e^(x_i - m), m the largest;  dL/dx_i = g e^(x_i - y)."""

    def forward(self, x: Array, *, axes: Axes, keepdim: bool) -> Array:
        k, xp = kernels.of(x), backend.array_module(x)
        m = (x.max if x.size else x.sum)(axis=axes, keepdims=True)
        m = xp.where(xp.isfinite(m), m, xp.zeros_like(m))  # infinities stay, and are no NaN
        total = k.exp(k.sub(x, m)).sum(axis=axes, keepdims=True, dtype=dtypes.accumulator(x.dtype))
        y = k.add(k.log(total).astype(x.dtype, copy=False), m)
        y = y if keepdim else xp.asarray(y.squeeze(axes))
        self.axes = axes
        self.save_for_backward(x, y)
        return y

    def backward(self, g: Array) -> Array:
        x, y = self.saved_tensors
        k = kernels.of(g)
        share = k.exp(k.sub(x, _restore(y, x.shape, self.axes)))
        return k.mul(share, _restore(g, x.shape, self.axes))


def logsumexp(input: Tensor, dim: Any, keepdim: bool = False) -> Tensor:
    """log(sum(exp(input))) over `dim` (an int or several), without overflow."""
    (x,) = _promoted(input, integers=False)
    return LogSumExp.apply(x, axes=_axes("logsumexp", x.ndim, dim), keepdim=keepdim)


def softmax(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """exp(input) / its sum along `dim`, computed from input - max(input) so as not to overflow."""
    return _apply(Softmax, "softmax", input, dim, dtype)


def log_softmax(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """log(softmax(input)), without the underflow of taking the two steps apart."""
    return _apply(LogSoftmax, "log_softmax", input, dim, dtype)


def _apply(function: type[Function], name: str, input: Tensor, dim: int, dtype: Any) -> Tensor:
    x = to(input, dtype)
    if not dtypes.is_floating_point(x.dtype):
        raise RuntimeError(f"[{name}] expected a floating point tensor, got {x.dtype}")
    axis = _axis(name, dim, x.ndim)
    if not x.ndim:  # one score alone, in a line of its own
        return reshape(function.apply(reshape(x, (1,)), axis=0), ())
    return function.apply(x, axis=axis)
