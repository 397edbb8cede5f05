"""Many numbers in, one number out: sums, means and extremes along axes.

`axis` is None (all), an integer or a tuple; `keepdims` leaves a 1 where an axis was.
`matmul.py` comes next.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.kernels.reference.precision import in_double

Axis = int | tuple[int, ...] | None


def _over(
    function: Callable[[list], float], x: np.ndarray, axis: Axis, keepdims: bool
) -> np.ndarray:
    """Replace the numbers along `axis` by function(list of them)."""
    axes = tuple(range(x.ndim)) if axis is None else (axis,) if isinstance(axis, int) else axis
    axes = tuple(a % x.ndim for a in axes)
    shape = [1 if a in axes else size for a, size in enumerate(x.shape)]
    values = []
    for index in np.ndindex(*shape):
        here = tuple(slice(None) if a in axes else i for a, i in enumerate(index))
        values.append(function(x[here].ravel().tolist()))
    y = np.array(values).reshape(shape)
    return y if keepdims else y.squeeze(axes)


@in_double
def sum(x: np.ndarray, axis: Axis = None, keepdims: bool = False) -> np.ndarray:
    return _over(math.fsum if x.dtype.kind == "f" else builtins.sum, x, axis, keepdims)


@in_double
def mean(x: np.ndarray, axis: Axis = None, keepdims: bool = False) -> np.ndarray:
    return _over(_mean, x, axis, keepdims)


@in_double
def var(
    x: np.ndarray, axis: Axis = None, correction: int = 1, keepdims: bool = False
) -> np.ndarray:
    """sum((x - mean)**2) / (n - correction); PyTorch's correction is 1, NumPy's 0."""

    def one(values: list) -> float:
        middle = _mean(values)
        squares = math.fsum((v - middle) ** 2 for v in values)
        return squares / (len(values) - correction)

    return _over(one, x, axis, keepdims)


def std(x: np.ndarray, axis: Axis = None, **options: Any) -> np.ndarray:
    return np.sqrt(var(x, axis, **options))


@in_double
def prod(x: np.ndarray, axis: Axis = None, keepdims: bool = False) -> np.ndarray:
    return _over(math.prod, x, axis, keepdims)


@in_double
def logsumexp(x: np.ndarray, axis: Axis = None, keepdims: bool = False) -> np.ndarray:
    """log(sum(exp(x)))."""
    return _over(lambda values: math.log(math.fsum(map(math.exp, values))), x, axis, keepdims)


@in_double
def norm(
    x: np.ndarray, p: float = 2.0, axis: Axis = None, keepdims: bool = False
) -> np.ndarray:
    """sum(|x|**p)**(1/p); p = inf is its limit, the largest |x|, and p = 0 counts all but 0."""

    def one(values: list) -> float:
        sizes = [abs(v) for v in values]
        if math.isinf(p):
            return builtins.max(sizes) if p > 0 else builtins.min(sizes)
        powers = (s**p for s in sizes if s or p > 0)
        return math.fsum(powers) ** (1 / p) if p else float(len([s for s in sizes if s]))

    return _over(one, x, axis, keepdims)


@in_double
def cumsum(x: np.ndarray, axis: int) -> np.ndarray:
    """y[i] = x[0] + ... + x[i] along `axis`."""
    y = x.copy()
    lines = np.moveaxis(y, axis, 0)
    for i in range(1, len(lines)):
        lines[i] += lines[i - 1]
    return y


def _mean(values: list) -> float:
    return math.fsum(values) / len(values)


@in_double
def amax(x: np.ndarray, axis: Axis = None, keepdims: bool = False) -> np.ndarray:
    """The largest number; a NaN counts as larger than all."""
    return _over(lambda values: values[_first_max(values)], x, axis, keepdims)


@in_double
def amin(x: np.ndarray, axis: Axis = None, keepdims: bool = False) -> np.ndarray:
    """The smallest number; a NaN counts as smaller than all."""
    return _over(lambda values: values[_first_max([-v for v in values])], x, axis, keepdims)


# PyTorch's max and amax differ in their gradient only: the first of several equal numbers gets all
# of it, or each an equal part.
max = amax
min = amin


@in_double
def argmax(x: np.ndarray, axis: int | None = None, keepdims: bool = False) -> np.ndarray:
    """The position of the first largest number along `axis`, or in the flattened array."""
    return _over(_first_max, x, axis, keepdims)


def _first_max(values: list) -> int:
    best = 0
    for i, value in enumerate(values):
        if value > values[best]:
            best = i
        if math.isnan(value):
            return i
    return best
