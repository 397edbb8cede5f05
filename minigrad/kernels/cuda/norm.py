"""Batch normalisation, and sums over a channel. The kernels, with the formulas, stand in `norm.cu`.

Where x has 16 bits, all that there is one of a channel is float32: the statistics, weight and bias,
and their gradients.
"""

from __future__ import annotations

import math
from typing import Any

import cupy
import numpy as np

from minigrad import dtypes
from minigrad.kernels.cuda.module import block_shape, contiguous, kernel, launch_planes


def batch_norm_stats(x: Any) -> tuple[Any, Any]:
    """x (N, C, ...) -> mean (C,) and the biased variance (C,) of each channel."""
    mean, var = cupy.empty((2, x.shape[1]), _statistics_dtype(x))
    _launch_channels("batch_norm_stats", x, contiguous(x), mean, var)
    return mean, var


def batch_norm(x: Any, mean: Any, invstd: Any, w: Any | None, b: Any | None) -> Any:
    """x (N, C, ...) -> (x - mean) * invstd * w + b; the four others are (C,), w and b or None."""
    y = cupy.empty(x.shape, x.dtype)
    planes, pixels = x.shape[0] * x.shape[1], math.prod(x.shape[2:])
    launch_planes(
        kernel("batch_norm", x.dtype), planes, pixels,
        contiguous(x), *(_statistic(array, x) for array in (mean, invstd, w, b)), y,
        x.shape[1], planes, pixels,
    )  # fmt: skip
    return y


def batch_norm_backward(
    g: Any, x: Any, mean: Any, invstd: Any, w: Any | None, training: bool
) -> tuple[Any, Any, Any]:
    """(gx, gw, gb); with `training` also through the mean and the variance of the batch."""
    g, x = contiguous(g), contiguous(x)
    mean, invstd, w = (_statistic(array, x) for array in (mean, invstd, w))
    gw, gb = cupy.empty((2, x.shape[1]), mean.dtype)
    _launch_channels("batch_norm_backward_sums", x, g, x, mean, invstd, gw, gb)
    gx = cupy.empty(x.shape, x.dtype)
    planes, pixels = x.shape[0] * x.shape[1], math.prod(x.shape[2:])
    share = 1 / (x.shape[0] * pixels) if training and x.size else 0.0
    launch_planes(
        kernel("batch_norm_backward", x.dtype), planes, pixels,
        g, x, mean, invstd, w, gw, gb, gx, x.shape[1], planes, pixels, share,
    )  # fmt: skip
    return gx, gw, gb


def sum_over_channels(g: Any) -> Any:
    """The sum over every axis but 1, the gradient of a bias: (N, O, ...) -> (O,)."""
    gb = cupy.empty(g.shape[1], g.dtype)
    _launch_channels("sum_over_channels", g, contiguous(g), gb)
    return gb


def _launch_channels(name: str, x: Any, *args: Any) -> None:
    """Run a kernel that sums over all but the channels: one block a channel."""
    n, channels, pixels = x.shape[0], x.shape[1], math.prod(x.shape[2:])
    if channels:
        function = kernel(name, x.dtype)
        function((channels,), block_shape(pixels), (*args, n, channels, pixels))


def _statistics_dtype(x: Any) -> np.dtype:
    return dtypes.accumulator(x.dtype)


def _statistic(array: Any | None, x: Any) -> Any | None:
    return None if array is None else contiguous(array.astype(_statistics_dtype(x), copy=False))
