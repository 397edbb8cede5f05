"""One number in, one number out: the functions of `math`, over every element of an array.

Two arrays are broadcast as NumPy does it. Where `math` raises an error (the logarithm of 0), the
fast kernels give inf or nan as PyTorch does. The reductions are in `reduce.py`.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.kernels.reference.precision import in_double


def _each(function: Callable[..., float], *arrays: Any) -> np.ndarray:
    """function(a, b, ...) for each element of the broadcast arrays or numbers."""
    together = np.broadcast_arrays(*arrays)
    rows = zip(*(array.ravel().tolist() for array in together), strict=True)
    return np.array([function(*row) for row in rows]).reshape(together[0].shape)


@in_double
def add(x: Any, y: Any) -> np.ndarray:
    return _each(lambda v, w: v + w, x, y)


@in_double
def sub(x: Any, y: Any) -> np.ndarray:
    return _each(lambda v, w: v - w, x, y)


@in_double
def mul(x: Any, y: Any) -> np.ndarray:
    return _each(lambda v, w: v * w, x, y)


@in_double
def div(x: Any, y: Any) -> np.ndarray:
    return _each(lambda v, w: v / w, x, y)


@in_double
def pow(x: Any, y: Any) -> np.ndarray:
    return _each(math.pow, x, y)


@in_double
def neg(x: np.ndarray) -> np.ndarray:
    return _each(lambda v: -v, x)


@in_double
def abs(x: np.ndarray) -> np.ndarray:
    return _each(builtins.abs, x)


@in_double
def exp(x: np.ndarray) -> np.ndarray:
    return _each(math.exp, x)


@in_double
def log(x: np.ndarray) -> np.ndarray:
    return _each(math.log, x)


@in_double
def sqrt(x: np.ndarray) -> np.ndarray:
    return _each(math.sqrt, x)


@in_double
def tanh(x: np.ndarray) -> np.ndarray:
    return _each(math.tanh, x)


@in_double
def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), written so that no exponential overflows."""

    def one(v: float) -> float:
        small = math.exp(-builtins.abs(v))
        return 1 / (1 + small) if v >= 0 else small / (1 + small)

    return _each(one, x)


@in_double
def relu(x: np.ndarray) -> np.ndarray:
    """max(x, 0); a NaN stays a NaN."""
    return _each(lambda v: 0.0 if v < 0 else v, x)


@in_double
def leaky_relu(x: np.ndarray, negative_slope: float = 0.01) -> np.ndarray:
    """x where x >= 0, else negative_slope * x."""
    return _each(lambda v: negative_slope * v if v < 0 else v, x)


@in_double
def elu(x: np.ndarray, alpha: float = 1.0) -> np.ndarray:
    """x where x > 0, else alpha * (exp(x) - 1)."""
    return _each(lambda v: v if v > 0 else alpha * math.expm1(v), x)


@in_double
def hardtanh(x: np.ndarray, min_val: float = -1.0, max_val: float = 1.0) -> np.ndarray:
    """x, but no less than min_val and no more than max_val."""
    return _each(lambda v: min_val if v < min_val else max_val if v > max_val else v, x)


@in_double
def softplus(x: np.ndarray, beta: float = 1.0, threshold: float = 20.0) -> np.ndarray:
    """log(1 + exp(beta * x)) / beta; x itself where beta * x > threshold."""
    return _each(lambda v: v if beta * v > threshold else math.log1p(math.exp(beta * v)) / beta, x)


@in_double
def gelu(x: np.ndarray, approximate: str = "none") -> np.ndarray:
    """x times the probability that a normal number is below x, or an approximation of that."""
    if approximate == "tanh":
        a = math.sqrt(2 / math.pi)
        return _each(lambda v: v * (1 + math.tanh(a * (v + 0.044715 * v**3))) / 2, x)
    return _each(lambda v: v * math.erfc(-v / math.sqrt(2)) / 2, x)


@in_double
def silu(x: np.ndarray) -> np.ndarray:
    """x * sigmoid(x)."""
    return x * sigmoid(x)


@in_double
def dropout(x: np.ndarray, mask: np.ndarray, p: float) -> np.ndarray:
    """x / (1 - p) where the mask is true, else 0: the expected value of the result is x."""
    return _each(lambda v, keep: v / (1 - p) if keep else 0.0, x, mask)
