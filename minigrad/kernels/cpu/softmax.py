"""Softmax and its logarithm on the CPU, over any axis.

The array is seen as (before, n, after) around the axis. The largest number of each line is
subtracted first: it cancels, and no exponential overflows. A line of nothing but -inf gives NaN,
as in PyTorch. Of complex numbers (gradients by the complex step) the real part decides.
"""

from __future__ import annotations

import math

import numpy as np

from minigrad.kernels.cpu import memory
from minigrad.kernels.cpu.cores import parallel


def _lines(x: np.ndarray, axis: int) -> np.ndarray:
    """Contiguous (before, n, after); the lines run along axis 1."""
    axis %= x.ndim
    shape = math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :])
    return np.ascontiguousarray(x).reshape(shape)


def _shifted(x: np.ndarray) -> np.ndarray:
    """x minus the largest number of its line; -inf - -inf is NaN, and meant to be."""
    most = x.real.max(axis=1, keepdims=True, initial=-np.inf)
    with np.errstate(invalid="ignore"):
        return np.subtract(x, most, out=memory.empty(x.shape, x.dtype))


def softmax(x: np.ndarray, axis: int) -> np.ndarray:
    """y_i = exp(x_i) / sum over j of exp(x_j)."""
    lines = _lines(x, axis)
    y = memory.empty(lines.shape, x.dtype)

    def run(start: int, stop: int) -> None:
        exps = np.exp(_shifted(lines[start:stop]), out=y[start:stop])
        np.divide(exps, exps.sum(axis=1, keepdims=True), out=exps)

    parallel(run, len(lines), lines.size)
    return y.reshape(x.shape)


def softmax_backward(g: np.ndarray, y: np.ndarray, axis: int) -> np.ndarray:
    """gx_i = y_i * (g_i - sum over j of g_j * y_j)."""
    g_lines, y_lines = _lines(g, axis), _lines(y, axis)
    gx = memory.empty(g_lines.shape, g.dtype)

    def run(start: int, stop: int) -> None:
        out, p = gx[start:stop], y_lines[start:stop]
        products = np.multiply(g_lines[start:stop], p, out=out)
        totals = products.sum(axis=1, keepdims=True)
        np.subtract(g_lines[start:stop], totals, out=out)
        np.multiply(out, p, out=out)

    parallel(run, len(g_lines), g.size)
    return gx.reshape(g.shape)


def log_softmax(x: np.ndarray, axis: int) -> np.ndarray:
    """y_i = x_i - log(sum over j of exp(x_j))."""
    lines = _lines(x, axis)
    y = memory.empty(lines.shape, x.dtype)

    def run(start: int, stop: int) -> None:
        shifted = _shifted(lines[start:stop])
        exps = np.exp(shifted, out=y[start:stop])
        np.subtract(shifted, np.log(exps.sum(axis=1, keepdims=True)), out=exps)

    parallel(run, len(lines), lines.size)
    return y.reshape(x.shape)


def log_softmax_backward(g: np.ndarray, y: np.ndarray, axis: int) -> np.ndarray:
    """gx_i = g_i - exp(y_i) * sum over j of g_j."""
    g_lines, y_lines = _lines(g, axis), _lines(y, axis)
    gx = memory.empty(g_lines.shape, g.dtype)

    def run(start: int, stop: int) -> None:
        grads = g_lines[start:stop]
        p = np.exp(y_lines[start:stop], out=gx[start:stop])
        np.multiply(p, grads.sum(axis=1, keepdims=True), out=p)
        np.subtract(grads, p, out=p)

    parallel(run, len(g_lines), g.size)
    return gx.reshape(g.shape)
