"""Elementwise functions: CuPy's own, which are one launch each, and ours where it has none.

Python numbers are weak here as in NumPy 2: a slope or a 1 never widens float16 or float32. A
backward with a mask multiplies by it, as on the CPU, and so a NaN stays a NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import cupy
import numpy as np

from minigrad.kernels.cuda.module import contiguous, kernel, launch

add = cupy.add
sub = cupy.subtract
mul = cupy.multiply
div = cupy.true_divide
pow = cupy.power
neg = cupy.negative
exp = cupy.exp
log = cupy.log
sqrt = cupy.sqrt
abs = cupy.absolute
tanh = cupy.tanh
sin = cupy.sin
cos = cupy.cos
floor = cupy.floor
ceil = cupy.ceil
trunc = cupy.trunc
round = cupy.rint
floor_divide = cupy.floor_divide
maximum = cupy.maximum
minimum = cupy.minimum


def sign(x: Any) -> Any:
    """-1, 0 or 1; 0 for a NaN, unlike CuPy's."""
    return ((x > 0).astype(np.int8) - (x < 0)).astype(x.dtype)


def where(c: Any, a: Any, b: Any) -> Any:
    """a where c, else b."""
    return cupy.where(c, a, b)


def fused(formula: Callable[..., Any], *operands: Any) -> Any:
    """formula(cupy, *operands), which works element by element."""
    return formula(cupy, *operands)


def copy(x: Any) -> Any:
    """A C-contiguous copy."""
    return cupy.array(x, order="C", copy=True)


def relu(x: Any, inplace: bool = False) -> Any:
    """max(x, 0), written over x if `inplace`."""
    return cupy.maximum(x, 0, out=x if inplace else None)


def relu_backward(g: Any, y: Any) -> Any:
    """g where y, what relu gave, is not 0 (a NaN is not), else 0."""
    gx = cupy.empty(g.shape, g.dtype)
    launch(kernel("relu_backward", g.dtype), g.size, contiguous(g), contiguous(y), gx, g.size)
    return gx


def leaky_relu(x: Any, negative_slope: float) -> Any:
    """x where x > 0, else negative_slope x."""
    return cupy.where(x > 0, x, x * negative_slope)


def leaky_relu_backward(g: Any, x: Any, negative_slope: float) -> Any:
    """g where x > 0, else negative_slope g."""
    return cupy.where(x > 0, g, g * negative_slope)


def sigmoid(x: Any) -> Any:
    """1 / (1 + e^-x)."""
    return 1 / (1 + cupy.exp(-x))


def sigmoid_backward(g: Any, y: Any) -> Any:
    """g y (1 - y)."""
    return g * y * (1 - y)


def tanh_backward(g: Any, y: Any) -> Any:
    """g (1 - y^2)."""
    return g * (1 - y * y)


def normal_cdf(x: Any) -> Any:
    """The probability that a standard normal number is below x: erfc(-x / sqrt 2) / 2."""
    from cupyx.scipy.special import erfc

    return (erfc(x * -math.sqrt(0.5)) * 0.5).astype(x.dtype, copy=False)  # it widens float16
