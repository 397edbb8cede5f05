"""Softmax and log-softmax along one axis. The kernels, with the formulas, stand in `softmax.cu`."""

from __future__ import annotations

import math
from typing import Any

import cupy

from minigrad.kernels.cuda.module import MAX_GRID_X, THREADS, WARP, contiguous, kernel


def softmax(x: Any, axis: int) -> Any:
    """y, of the shape of x: positive, and 1 when summed along `axis`."""
    return _launch_rows("softmax", axis, x)


def softmax_backward(g: Any, y: Any, axis: int) -> Any:
    """gx = y * (g - sum of g*y along `axis`)."""
    return _launch_rows("softmax_backward", axis, g, y)


def log_softmax(x: Any, axis: int) -> Any:
    """log(softmax(x)), without the overflow."""
    return _launch_rows("log_softmax", axis, x)


def log_softmax_backward(g: Any, y: Any, axis: int) -> Any:
    """gx = g - exp(y) * (sum of g along `axis`)."""
    return _launch_rows("log_softmax_backward", axis, g, y)


def _launch_rows(name: str, axis: int, *inputs: Any) -> Any:
    """One warp a row, a row being the numbers along `axis`."""
    out = cupy.empty(inputs[0].shape, inputs[0].dtype)
    if out.size:
        shape = out.shape or (1,)  # a single number is a row of one
        axis %= len(shape)
        length, inner = shape[axis], math.prod(shape[axis + 1 :])
        rows, rows_a_block = out.size // length, THREADS // WARP
        grid = min(-(-rows // rows_a_block), MAX_GRID_X)
        arrays = [contiguous(array) for array in inputs]
        kernel(name, out.dtype)((grid,), (WARP, rows_a_block), (*arrays, out, rows, length, inner))
    return out
