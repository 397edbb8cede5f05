"""Softmax and its logarithm: scores become probabilities along one dimension."""

from __future__ import annotations

from typing import Any

from minigrad import dtypes, kernels
from minigrad.autograd import Function
from minigrad.backend import Array
from minigrad.ops.convert import to
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
