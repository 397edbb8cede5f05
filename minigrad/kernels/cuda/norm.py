"""Batch normalisation. The kernels, with the formulas, stand in `norm.cu`; read `sums.py` first.

Where x has 16 bits, all that there is one of a channel is float32: the statistics, weight and bias,
and their gradients.
"""

from __future__ import annotations

import math
from typing import Any

import cupy
import numpy as np

from minigrad import dtypes
from minigrad.kernels.cuda.module import contiguous, kernel, launch, launch_planes
from minigrad.kernels.cuda.sums import shared_out, sum_of_parts


def batch_norm_stats(x: Any) -> tuple[Any, Any]:
    """x (N, C, ...) -> mean (C,) and the biased variance (C,) of each channel."""
    wide, ((n, channels, pixels, parts), block) = dtypes.accumulator(x.dtype), shared_out(x)
    mean, var = cupy.empty((2, channels), wide)
    sums = cupy.empty((parts, 2, channels), wide)
    if x.size:
        sizes = n, channels, pixels, parts
        kernel("batch_norm_parts", x.dtype)(
            (channels, parts), block, (contiguous(x), sums, *sizes)
        )
        function = kernel("batch_norm_stats", x.dtype)
        launch(function, channels, sums, mean, var, *sizes, block[1])
    else:
        mean[...] = var[...] = np.nan
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
    (n, channels, pixels, parts), block = shared_out(x)
    sums, totals = (cupy.empty((*k, 2, channels), mean.dtype) for k in ((parts,), ()))
    if channels:
        kernel("batch_norm_backward_parts", x.dtype)(
            (channels, parts), block, (g, x, mean, invstd, sums, n, channels, pixels, parts)
        )
        sum_of_parts(sums, totals)
    gw, gb = totals
    gx = cupy.empty(x.shape, x.dtype)
    planes, pixels = x.shape[0] * x.shape[1], math.prod(x.shape[2:])
    share = 1 / (x.shape[0] * pixels) if training and x.size else 0.0
    launch_planes(
        kernel("batch_norm_backward", x.dtype), planes, pixels,
        g, x, mean, invstd, w, gw, gb, gx, x.shape[1], planes, pixels, share,
    )  # fmt: skip
    return gx, gw, gb


def _statistic(array: Any | None, x: Any) -> Any | None:
    if array is None:
        return None
    return contiguous(array.astype(dtypes.accumulator(x.dtype), copy=False))
