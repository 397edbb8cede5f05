"""What only a GPU has: operations that follow each other, as one pass over memory.

On the CPU what one leaves is in cache when the next begins. The kernels, with the formulas, stand
in `loss.cu` and `relu_pool.cu`; what calls them in `minigrad/nn/functional/fused.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cupy
import numpy as np

from minigrad import dtypes
from minigrad.kernels import geometry
from minigrad.kernels.cuda.module import (
    THREADS,
    contiguous,
    kernel,
    launch,
    launch_planes,
    launch_rows,
    window,
)
from minigrad.kernels.cuda.pool import max_pool2d_backward
from minigrad.kernels.cuda.sums import masked_sum
from minigrad.kernels.geometry import Pad, Pair


def cross_entropy(
    x: Any, target: Any, ignore_index: int, mean: bool, need_gradient: bool
) -> tuple[Any, Any, Any, Any]:
    """Scores x (N, C) and classes (N,) -> (loss, hits, unit, count).

    loss: the mean or the sum, of shape (). hits: how many rows have their highest score at their
    target, int64, of shape (). unit and count are for the backward; unit (N, C) is None without
    `need_gradient`.
    """
    n, classes = x.shape
    wide = dtypes.accumulator(x.dtype)
    unit = cupy.empty(x.shape, x.dtype) if need_gradient else None
    rows, count, loss = cupy.empty((3, n), wide), cupy.empty((), wide), cupy.empty((), x.dtype)
    hits, target = cupy.empty((), np.int64), contiguous(target.astype(np.int64, copy=False))
    arrays = contiguous(x), target, unit, rows
    launch_rows(kernel("cross_entropy", x.dtype), n, *arrays, n, classes, ignore_index)
    kernel("cross_entropy_sums", x.dtype)(
        (1,), (THREADS,), (rows, loss, count, hits, n, int(mean))
    )
    return loss, hits, unit, count


def cross_entropy_backward(g: Any, unit: Any, count: Any) -> Any:
    """gx (N, C) from g of shape () and what the forward returned."""
    gx = cupy.empty(unit.shape, unit.dtype)
    arrays = unit, contiguous(g), count, gx
    launch(kernel("cross_entropy_backward", unit.dtype), gx.size, *arrays, gx.size)
    return gx


def bias_relu_max_pool2d(
    x: Any, b: Any, kernel_size: Pair, stride: Pair, pad: Pad, dilation: Pair, ceil_mode: bool,
    need_code: bool = True,
) -> tuple[Any, Any | None]:
    """x (N, C, H, W) and b (C,) -> y (N, C, OH, OW) and code, uint8: where in the window the
    maximum was, and 255 where it was at most 0. A window has at most 255 elements."""
    planes = x.shape[0] * x.shape[1]
    places = geometry.output_shape(x.shape, kernel_size, stride, pad, dilation, ceil_mode)
    y = cupy.empty((*x.shape[:2], *places), x.dtype)
    code = cupy.empty(y.shape, np.uint8) if need_code else None
    launch_planes(
        kernel("bias_relu_max_pool2d", x.dtype), planes, math.prod(places),
        contiguous(x), contiguous(b), y, code,
        window(x.shape, kernel_size, stride, pad, dilation, places), planes,
    )  # fmt: skip
    return y, code


def bias_relu_max_pool2d_backward(
    g: Any, code: Any, x_shape: Sequence[int], kernel_size: Pair, stride: Pair, pad: Pad,
    dilation: Pair,
) -> tuple[Any, Any]:
    """gx (N, C, H, W) and gb (C,)."""
    gx = max_pool2d_backward(g, code, x_shape, kernel_size, stride, pad, dilation)
    return gx, masked_sum(g, code)


def bias_relu(x: Any, b: Any) -> Any:
    """x (N, C, ...) and b (C,) -> y of the shape of x."""
    y = cupy.empty(x.shape, x.dtype)
    planes, pixels = x.shape[0] * x.shape[1], math.prod(x.shape[2:])
    arrays = contiguous(x), contiguous(b), y
    launch_planes(
        kernel("bias_relu", x.dtype), planes, pixels, *arrays, x.shape[1], planes, pixels
    )
    return y


def bias_relu_backward(g: Any, y: Any) -> tuple[Any, Any]:
    """gx, of the shape of g and y, and gb (C,)."""
    gx = cupy.empty(g.shape, g.dtype)
    return gx, masked_sum(g, y=y, gx=gx)
