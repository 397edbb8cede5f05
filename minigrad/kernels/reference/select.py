"""Choosing between two numbers: by a condition, or the larger, the smaller, within bounds."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.kernels.reference.elementwise import _each
from minigrad.kernels.reference.precision import in_double


@in_double
def maximum(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The larger of two numbers; NaN if one is."""
    return _each(lambda v, w: v if v != v or v > w else w, x, y)


@in_double
def minimum(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The smaller of two numbers; NaN if one is."""
    return _each(lambda v, w: v if v != v or v < w else w, x, y)


def clamp(x: np.ndarray, min: Any = None, max: Any = None) -> np.ndarray:
    """max(x, min), then the minimum of that and max; a bound of None is none."""
    x = x if min is None else maximum(x, min)
    return x if max is None else minimum(x, max)


@in_double
def where(c: np.ndarray, x: Any, y: Any) -> np.ndarray:
    """x where c is true, else y."""
    return _each(lambda c, v, w: v if c else w, c, x, y)
