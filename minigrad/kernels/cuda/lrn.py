"""Local response normalisation. The kernels, with the formulas, stand in `lrn.cu`."""

from __future__ import annotations

import math
from typing import Any

import cupy
import numpy as np

from minigrad.kernels.cuda.module import contiguous, kernel, launch_planes, struct


def local_response_norm(x: Any, size: int, alpha: float, beta: float, k: float) -> Any:
    """x (N, C, ...) -> y of the same shape."""
    y = cupy.empty(x.shape, x.dtype)
    planes, pixels = x.shape[0] * x.shape[1], math.prod(x.shape[2:])
    launch_planes(
        kernel("local_response_norm", x.dtype), planes, pixels,
        contiguous(x), y, x.shape[1], _response(size, alpha, beta, k), planes, pixels,
    )  # fmt: skip
    return y


def local_response_norm_backward(
    g: Any, x: Any, size: int, alpha: float, beta: float, k: float
) -> Any:
    """gx, of the shape of x and g; the denominators are computed again from x."""
    gx = cupy.empty(x.shape, x.dtype)
    planes, pixels = x.shape[0] * x.shape[1], math.prod(x.shape[2:])
    launch_planes(
        kernel("local_response_norm_backward", x.dtype), planes, pixels,
        contiguous(g), contiguous(x), gx, x.shape[1], _response(size, alpha, beta, k),
        planes, pixels,
    )  # fmt: skip
    return gx


def _response(size: int, alpha: float, beta: float, k: float) -> np.ndarray:
    """`struct Response`: of an even window, the odd channel lies before, as in PyTorch."""
    return struct(size // 2, (size - 1) // 2, float(alpha) / size, float(beta), float(k))
