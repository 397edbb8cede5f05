"""Batch normalisation, and sums over a channel. The kernels, with the formulas, stand in `norm.cu`
and `sums.cu`.

The statistics are float32 inside the kernels where x is float16, and so are the sums of the
backward; outside they have the dtype of x, as on the CPU.
"""

from __future__ import annotations

import math
from typing import Any

import cupy
import numpy as np

from minigrad.kernels.cuda.module import (
    THREADS,
    WARP,
    block_shape,
    contiguous,
    kernel,
    launch,
    launch_planes,
)

BLOCKS = 1024  # about as many as a large GPU runs at once; the sums' order depends on it


def batch_norm_stats(x: Any) -> tuple[Any, Any]:
    """x (N, C, ...) -> mean (C,) and the biased variance (C,) of each channel."""
    wide, (n, channels, pixels, parts), block = _statistics_dtype(x), *_shared_out(x)
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
    return mean.astype(x.dtype, copy=False), var.astype(x.dtype, copy=False)


def batch_norm(x: Any, mean: Any, invstd: Any, w: Any | None, b: Any | None) -> Any:
    """x (N, C, ...) -> (x - mean) * invstd * w + b; the four others are (C,), w and b or None."""
    y = cupy.empty(x.shape, x.dtype)
    planes, pixels = x.shape[0] * x.shape[1], math.prod(x.shape[2:])
    launch_planes(
        kernel("batch_norm", x.dtype), planes, pixels,
        contiguous(x), _statistic(mean, x), _statistic(invstd, x), _parameter(w), _parameter(b), y,
        x.shape[1], planes, pixels,
    )  # fmt: skip
    return y


def batch_norm_backward(
    g: Any, x: Any, mean: Any, invstd: Any, w: Any | None, training: bool
) -> tuple[Any, Any, Any]:
    """(gx, gw, gb); with `training` also through the mean and the variance of the batch."""
    g, x, w = contiguous(g), contiguous(x), _parameter(w)
    mean, invstd = _statistic(mean, x), _statistic(invstd, x)
    (n, channels, pixels, parts), block = _shared_out(x)
    sums, totals = (cupy.empty((k, 2, channels), mean.dtype) for k in (parts, 1))
    if channels:
        kernel("batch_norm_backward_parts", x.dtype)(
            (channels, parts), block, (g, x, mean, invstd, sums, n, channels, pixels, parts)
        )
        launch(kernel("sum_of_parts", mean.dtype), 2 * channels, sums, totals, parts, 2 * channels)
    gw, gb = totals[0]
    gx = cupy.empty(x.shape, x.dtype)
    planes, pixels = x.shape[0] * x.shape[1], math.prod(x.shape[2:])
    share = 1 / (x.shape[0] * pixels) if training and x.size else 0.0
    launch_planes(
        kernel("batch_norm_backward", x.dtype), planes, pixels,
        g, x, mean, invstd, w, gw, gb, gx, x.shape[1], planes, pixels, share,
    )  # fmt: skip
    return gx, gw.astype(x.dtype, copy=False), gb.astype(x.dtype, copy=False)


def sum_over_channels(g: Any) -> Any:
    """The sum over every axis but 1, the gradient of a bias: (N, O, ...) -> (O,)."""
    return masked_sum(g)


def masked_sum(g: Any, code: Any = None, y: Any = None, gx: Any = None) -> Any:
    """`sum_over_channels` of those g whose maximum a ReLU let pass: with `code`, that of
    `bias_relu_max_pool2d`; with `y`, what the ReLU gave, and they are written to `gx`, too."""
    g, y = contiguous(g), None if y is None else contiguous(y)
    gb = cupy.empty(g.shape[1], g.dtype)
    (n, channels, pixels, parts), block = _shared_out(g)
    if channels and g.ndim == 2 and code is None:  # (N, O)
        columns = -(-channels // WARP)
        parts = _parts(n, THREADS // WARP, columns)
        sums = cupy.empty((parts, channels), _statistics_dtype(g))
        kernel("column_parts", g.dtype)(
            (columns, parts), (WARP, THREADS // WARP), (g, y, gx, sums, n, channels, parts)
        )
    elif channels:
        sums = cupy.empty((parts, channels), _statistics_dtype(g))
        arrays = g, code, y, gx, sums
        function = kernel("channel_parts", g.dtype)
        function((channels, parts), block, (*arrays, n, channels, pixels, parts))
    if channels:
        launch(kernel("sum_of_parts", g.dtype), channels, sums, gb, parts, channels)
    return gb


def _shared_out(x: Any) -> tuple[tuple[int, int, int, int], tuple[int, int]]:
    """(N, C, pixels, parts) and the shape of a block, for sums of x over all but the channels."""
    n, channels, pixels = x.shape[0], x.shape[1], math.prod(x.shape[2:])
    block = block_shape(pixels)
    return (n, channels, pixels, _parts(n, block[1], channels)), block


def _parts(n: int, rows: int, blocks: int) -> int:
    """How many blocks share `n` images, of which each takes `rows` at a time."""
    return max(1, min(-(-n // rows), BLOCKS // max(blocks, 1)))


def _statistics_dtype(x: Any) -> np.dtype:
    return np.result_type(x.dtype, np.float32)


def _statistic(array: Any, x: Any) -> Any:
    return contiguous(array.astype(_statistics_dtype(x), copy=False))


def _parameter(array: Any | None) -> Any | None:
    return None if array is None else contiguous(array)
