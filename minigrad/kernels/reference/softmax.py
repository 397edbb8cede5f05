"""Softmax: numbers into probabilities; and its logarithm, which the loss needs.

Both subtract the largest number first: exp of a large number overflows, and the shift cancels.
A line of nothing but -inf has no probabilities and gives NaN, as in PyTorch. Then read `loss.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from minigrad.kernels.reference.precision import in_double


def _along(function: Callable[..., list], axis: int, *arrays: np.ndarray) -> np.ndarray:
    """Replace each line of numbers along `axis` by function(line of each array)."""
    lines = [np.moveaxis(array, axis, -1) for array in arrays]
    y = np.zeros_like(lines[0])
    for index in np.ndindex(y.shape[:-1]):
        y[index] = function(*(line[index].tolist() for line in lines))
    return np.moveaxis(y, -1, axis)


@in_double
def softmax(x: np.ndarray, axis: int) -> np.ndarray:
    """y_i = exp(x_i) / sum over j of exp(x_j)."""

    def one(values: list) -> list:
        exps = [math.exp(v - max(values)) for v in values]
        return [e / math.fsum(exps) for e in exps]

    return _along(one, axis, x)


@in_double
def softmax_backward(g: np.ndarray, y: np.ndarray, axis: int) -> np.ndarray:
    """gx_i = y_i * (g_i - sum over j of g_j * y_j)."""

    def one(gs: list, ys: list) -> list:
        total = math.fsum(g * y for g, y in zip(gs, ys, strict=True))
        return [y * (g - total) for g, y in zip(gs, ys, strict=True)]

    return _along(one, axis, g, y)


@in_double
def log_softmax(x: np.ndarray, axis: int) -> np.ndarray:
    """y_i = x_i - log(sum over j of exp(x_j))."""

    def one(values: list) -> list:
        most = max(values)
        log_sum = math.log(math.fsum(math.exp(v - most) for v in values))
        return [v - most - log_sum for v in values]

    return _along(one, axis, x)


@in_double
def log_softmax_backward(g: np.ndarray, y: np.ndarray, axis: int) -> np.ndarray:
    """gx_i = g_i - exp(y_i) * sum over j of g_j."""

    def one(gs: list, ys: list) -> list:
        return [g - math.exp(y) * math.fsum(gs) for g, y in zip(gs, ys, strict=True)]

    return _along(one, axis, g, y)
