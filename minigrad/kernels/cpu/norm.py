"""Batch normalisation on the CPU: threads take channels, and a channel stays in the cache.

The numbers of a channel (its pixels in every image of the batch) come from memory once; mean and
variance, or the sums and the gradient of the backward, are then made in the cache. A row of pixels
is summed in the dtype of x, in parallel lanes, and the rows in float64. `reference/norm.py` has the
obvious loops.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from minigrad.kernels.cpu import memory, threads
from minigrad.kernels.cpu.half import in_single


def _rows(x: np.ndarray) -> np.ndarray:
    """(N, C, ...) as contiguous (N, C, P), P the pixels of an image."""
    return np.ascontiguousarray(x).reshape(*x.shape[:2], math.prod(x.shape[2:]))


def _blocks(start: int, stop: int, nbytes: int) -> Iterator[slice]:
    """The channels start..stop-1, as many at a time as fit the cache with `nbytes` each."""
    step = max(1, threads.L2_BYTES // max(1, nbytes))
    for first in range(start, stop, step):
        yield slice(first, min(first + step, stop))


def _sum(x: np.ndarray) -> np.ndarray:
    """(N, c, P) -> (c, 1), the sum over images and pixels."""
    rows = np.einsum("ncp->nc", x)
    return rows.sum(0, np.result_type(x.dtype, np.float64))[:, None]


def _sum_of_products(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(N, c, P) twice -> (c, 1), the sum of x * y over images and pixels."""
    rows = np.einsum("ncp,ncp->nc", x, y)
    return rows.sum(0, np.result_type(x.dtype, np.float64))[:, None]


@in_single
def batch_norm_stats(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(mean, var) of each channel of x (N, C, ...), both (C,); the variance is biased (/ n).

    Deviations from the mean are squared, not the numbers themselves: a mean that is large beside
    the deviations costs no accuracy.
    """
    x = _rows(x)
    n = max(1, x.shape[0] * x.shape[2])
    mean, var = np.empty((2, x.shape[1], 1), x.dtype)

    def run(start: int, stop: int) -> None:
        for channels in _blocks(start, stop, 2 * n * x.itemsize):
            block = x[:, channels]
            mean[channels] = _sum(block) / n
            deviation = memory.empty(block.shape, x.dtype)
            np.subtract(block, mean[channels], out=deviation)
            var[channels] = _sum_of_products(deviation, deviation) / n

    threads.parallel(run, x.shape[1], x.size)
    return mean[:, 0], var[:, 0]


@in_single
def batch_norm(
    x: np.ndarray,
    mean: np.ndarray,
    invstd: np.ndarray,
    w: np.ndarray | None,
    b: np.ndarray | None,
) -> np.ndarray:
    """y = (x - mean) * invstd * w + b, channel by channel, as x * scale + shift.

    x and y (N, C, ...); mean, invstd = 1 / sqrt(var + eps), w and b (C,); w and b may be None.
    """
    rows = _rows(x)
    scale = invstd if w is None else w * invstd
    shift = -mean * scale if b is None else b - mean * scale
    scale, shift = (a.astype(x.dtype, copy=False)[:, None] for a in (scale, shift))
    y = memory.empty(rows.shape, x.dtype)

    def run(start: int, stop: int) -> None:
        for n in range(start, stop):
            for channels in _blocks(0, rows.shape[1], 2 * rows.shape[2] * x.itemsize):
                out = y[n, channels]
                np.multiply(rows[n, channels], scale[channels], out=out)
                np.add(out, shift[channels], out=out)

    threads.parallel(run, len(rows), rows.size)
    return y.reshape(x.shape)


@in_single
def batch_norm_backward(
    g: np.ndarray,
    x: np.ndarray,
    mean: np.ndarray,
    invstd: np.ndarray,
    w: np.ndarray | None,
    training: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(gx, gw, gb) with gb = sum(g), gw = sum(g * z), z = (x - mean) * invstd.

    gx = w * invstd * (g - gb/n - z * gw/n) in training, where mean and invstd depend on x;
    gx = w * invstd * g otherwise. Shapes as in `batch_norm`; n numbers make up a channel.
    """
    x_rows, g_rows = _rows(x), _rows(g)
    n = max(1, x_rows.shape[0] * x_rows.shape[2])
    mean, invstd = mean[:, None], invstd[:, None]
    scale = invstd if w is None else w[:, None] * invstd
    gx = memory.empty(x_rows.shape, g.dtype)
    gw, gb = np.empty((2, x_rows.shape[1], 1), g.dtype)

    def run(start: int, stop: int) -> None:
        for channels in _blocks(start, stop, 4 * n * x.itemsize):
            grads, out = g_rows[:, channels], gx[:, channels]
            rows = memory.empty(out.shape, x.dtype)
            np.subtract(x_rows[:, channels], mean[channels], out=rows)
            gb[channels] = _sum(grads)
            gw[channels] = _sum_of_products(grads, rows) * invstd[channels]
            np.multiply(grads, scale[channels], out=out)
            if training:  # take away scale * (gb/n + z * gw/n)
                slope = scale[channels] * invstd[channels] * gw[channels] / n
                offset = scale[channels] * gb[channels] / n
                np.multiply(rows, slope, out=rows)
                np.add(rows, offset, out=rows)
                np.subtract(out, rows, out=out)

    threads.parallel(run, x_rows.shape[1], x_rows.size)
    return gx.reshape(x.shape), gw[:, 0], gb[:, 0]
