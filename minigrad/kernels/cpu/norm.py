"""Batch normalisation on the CPU: cores take channels, and a channel stays in the cache.

The numbers of a channel (its pixels in every image of the batch, one line: see `layout.py`) come
from memory once; mean and variance, or the sums and the gradient of the backward, are then made in
the cache. `reference/norm.py` has the obvious loops.
"""

from __future__ import annotations

import numpy as np

from minigrad.kernels.cpu import memory
from minigrad.kernels.cpu.cores import parallel
from minigrad.kernels.cpu.elementwise import PIECE, sum_of_lines
from minigrad.kernels.cpu.layout import blocks, by_channel, empty_maps, fitting


def _sum_of_products(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(c, P) twice -> (c, 1), the sum of x * y: a row times a column is BLAS's dot product."""
    c, P = x.shape
    even = P - P % PIECE
    pieces = x[:, :even].reshape(c, -1, 1, PIECE), y[:, :even].reshape(c, -1, PIECE, 1)
    rest = np.matmul(x[:, None, even:], y[:, even:, None])[:, 0]
    return np.matmul(*pieces).sum((1, 2), dtype=np.result_type(x.dtype, np.float64)) + rest


def batch_norm_stats(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(mean, var) of each channel of x (N, C, ...), both (C,); the variance is biased (/ n).

    Deviations from the mean are squared, not the numbers themselves: a mean that is large beside
    the deviations costs no accuracy.
    """
    lines = by_channel(x)  # (C, P)
    C, P = lines.shape
    mean, var = memory.empty((2, C, 1), x.dtype)

    def run(start: int, stop: int) -> None:
        for channels in blocks(start, stop, fitting(C, 2 * P * x.itemsize)):
            block = lines[channels]
            mean[channels, 0] = sum_of_lines(block) / max(1, P)
            deviation = memory.empty(block.shape, x.dtype)
            np.subtract(block, mean[channels], out=deviation)
            var[channels] = _sum_of_products(deviation, deviation) / max(1, P)

    parallel(run, C, 2 * x.size, blas=True)
    return mean[:, 0], var[:, 0]


def batch_norm(
    x: np.ndarray, mean: np.ndarray, invstd: np.ndarray, w: np.ndarray | None, b: np.ndarray | None
) -> np.ndarray:
    """y = (x - mean) * invstd * w + b, channel by channel, as x * scale + shift.

    x and y (N, C, ...); mean, invstd = 1 / sqrt(var + eps), w and b (C,); w and b may be None.
    """
    y, lines = empty_maps(x.shape, x.dtype), by_channel(x)  # (C, P)
    y_lines = by_channel(y)
    scale = invstd if w is None else w * invstd
    shift = -mean * scale if b is None else b - mean * scale
    scale, shift = (a.astype(x.dtype, copy=False)[:, None] for a in (scale, shift))

    def run(start: int, stop: int) -> None:
        for channels in blocks(start, stop, fitting(len(lines), 2 * lines[0].nbytes)):
            out = y_lines[channels]
            np.multiply(lines[channels], scale[channels], out=out)
            np.add(out, shift[channels], out=out)

    parallel(run, len(lines), x.size)
    return y


def batch_norm_backward(
    g: np.ndarray, x: np.ndarray, mean: np.ndarray, invstd: np.ndarray, w: np.ndarray | None,
    training: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(gx, gw, gb) with gb = sum(g), gw = sum(g * z), z = (x - mean) * invstd.

    gx = w * invstd * (g - gb/n - z * gw/n) in training, where mean and invstd depend on x;
    gx = w * invstd * g otherwise. Shapes as in `batch_norm`; n numbers make up a channel.
    """
    gx, x_lines, g_lines = empty_maps(x.shape, x.dtype), by_channel(x), by_channel(g)  # (C, P)
    gx_lines, (C, P) = by_channel(gx), x_lines.shape
    n = max(1, P)
    mean, invstd = mean[:, None], invstd[:, None]
    scale = invstd if w is None else w[:, None] * invstd
    gw, gb = memory.empty((2, C, 1), g.dtype)

    def run(start: int, stop: int) -> None:
        for channels in blocks(start, stop, fitting(C, 4 * P * x.itemsize)):
            grads, out = g_lines[channels], gx_lines[channels]
            z = memory.empty(out.shape, x.dtype)  # not yet times invstd
            np.subtract(x_lines[channels], mean[channels], out=z)
            gb[channels, 0] = sum_of_lines(grads)
            gw[channels] = _sum_of_products(grads, z) * invstd[channels]
            np.multiply(grads, scale[channels], out=out)
            if training:  # take away scale * (gb/n + z * gw/n)
                slope = scale[channels] * invstd[channels] * gw[channels] / n
                offset = scale[channels] * gb[channels] / n
                np.multiply(z, slope, out=z)
                np.add(z, offset, out=z)
                np.subtract(out, z, out=out)

    parallel(run, C, 2 * x.size, blas=True)
    return gx, gw[:, 0], gb[:, 0]
