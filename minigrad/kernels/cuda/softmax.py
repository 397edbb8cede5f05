"""Softmax and log-softmax along one axis. The kernels, with the formulas, stand in `softmax.cu`."""

from __future__ import annotations

import math
from typing import Any

import cupy

from minigrad.kernels.cuda.module import contiguous, kernel, launch_rows


def softmax(x: Any, axis: int) -> Any:
    """y, of the shape of x: positive, and 1 when summed along `axis`."""
    return _along("softmax", axis, x)


def softmax_backward(g: Any, y: Any, axis: int) -> Any:
    """gx = y * (g - sum of g*y along `axis`)."""
    return _along("softmax_backward", axis, g, y)


def log_softmax(x: Any, axis: int) -> Any:
    """log(softmax(x)), without the overflow."""
    return _along("log_softmax", axis, x)


def log_softmax_backward(g: Any, y: Any, axis: int) -> Any:
    """gx = g - exp(y) * (sum of g along `axis`)."""
    return _along("log_softmax_backward", axis, g, y)


def _along(name: str, axis: int, *inputs: Any) -> Any:
    """The kernel on every row, which is the numbers along `axis`."""
    out = cupy.empty(inputs[0].shape, inputs[0].dtype)
    if out.size:
        shape = out.shape or (1,)  # a single number is a row of one
        axis %= len(shape)
        length, inner = shape[axis], math.prod(shape[axis + 1 :])
        rows, arrays = out.size // length, [contiguous(array) for array in inputs]
        launch_rows(kernel(name, out.dtype), rows, *arrays, out, rows, length, inner)
    return out
