"""Convolution without columns: a shift of the flat image is a shift of all its windows.

Lay the pixels out in the order (h, n, w), channels innermost, with enough zeros in each row for
the padding; the zeros at the left of the next row serve as those at the right of this one:

    flat[(h*N + n)*RW + j][c] = x[n, c, h - top, j - left], or 0        (RW columns a row)

Then the taps of kernel row r, for the window that begins at pixel q, are the KW*C numbers from
flat[q + r*DH*N*RW] on, and y for all windows is one product a kernel row, added up:

    y[q] (O) += w[r] (O, KW*C) @ flat[q + r*DH*N*RW :][: KW] (KW*C)

Windows of neighbours overlap, which a matrix may not do (its rows lie KW*C apart at least), but a
batch may: every KW-th window is a row of one matrix, and the KW matrices begin a pixel apart. The
windows that begin in the last columns of a row run into the next one: what they give is left out.
The weight gradient multiplies the same views by g, laid out alike with zeros in those columns.

In both operands the terms of a sum lie side by side, which is the only order that Hopper's tensor
cores take for TF32.

Bytes beside im2col's 1962 MB (im2col.py says for what): x 33 MB read, flat 41 MB written and read 5
times, the sums 95 MB written 5 times and read 4 times, then read, and y 89 MB written: 1323 MB, of
which the sums' 859 MB are the price. In return nothing is much larger than x and y. 1 in 14 windows
is computed for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import cupy
import numpy as np

from minigrad import dtypes
from minigrad.kernels import geometry
from minigrad.kernels.cuda import adjoint
from minigrad.kernels.cuda.module import (
    MAX_GRID_X,
    MAX_GRID_Y,
    THREADS,
    WARP,
    contiguous,
    kernel,
    struct,
)
from minigrad.kernels.cuda.views import as_strided, chunks, gemm
from minigrad.kernels.geometry import Pad, Pair


def lacks(dtype: np.dtype, w_shape: Sequence[int], stride: Pair, dilation: Pair) -> str:
    """What a convolution would need for this algorithm, if it cannot do it."""
    possible = stride == (1, 1) and (dilation[1] == 1 or w_shape[3] == 1)
    return "" if possible else "stride 1 and no dilation along the width"


def conv2d(
    x: Any, w: Any, b: Any | None, stride: Pair, pad: Pad, dilation: Pair, groups: int
) -> Any:
    """x (N, C, H, W) with w (O, C/groups, KH, KW) and b (O,) or None -> y (N, O, OH, OW)."""
    O, per_group, KH, KW = w.shape
    OH, OW = geometry.output_shape(x.shape, (KH, KW), stride, pad, dilation)
    y = cupy.empty((x.shape[0], O, OH, OW), x.dtype)
    weights = w.reshape(groups, -1, per_group, KH, KW).transpose(0, 3, 1, 4, 2)
    weights = contiguous(weights).reshape(groups, KH, O // groups, -1)  # (G, KH, O/G, KW*C)
    wide = dtypes.accumulator(x.dtype)
    for images in _chunks(x.shape, w.shape, (OH, OW), x.dtype):
        plan = _plan(images, x.shape, w.shape, pad, dilation, (OH, OW))
        flat = _flatten(x[images], groups, plan, pad)
        sums = cupy.empty((groups, plan.windows, O // groups), wide)
        for group in range(groups):
            for r, windows in enumerate(_windows(flat[group], plan, w.shape)):
                out = _interleaved(sums[group], KW).swapaxes(0, 1)  # (KW, windows/KW, O/G)
                gemm(windows, weights[group, r].T, out, accumulate=r > 0)
        _launch_tiles(
            kernel("from_pixels", x.dtype), plan.windows, O, sums,
            None if b is None else contiguous(b), y[images],
            struct(O, OH, OW, 0, 0, plan.images, plan.row), plan.windows, O // groups,
        )  # fmt: skip
    return y


conv2d_backward_input = partial(adjoint.backward_input, conv2d)


def conv2d_backward_weight(
    g: Any, x: Any, w_shape: Sequence[int], stride: Pair, pad: Pad, dilation: Pair, groups: int
) -> Any:
    """gw[r] (O, KW*C) = g (pixels, O).T @ windows[r] (pixels, KW*C), for all r as one batch."""
    O, per_group, KH, KW = w_shape
    wide = dtypes.accumulator(x.dtype)
    total = cupy.zeros((groups, KH, O // groups, KW * per_group), wide)
    for images in _chunks(x.shape, w_shape, g.shape[2:], x.dtype):
        plan = _plan(images, x.shape, w_shape, pad, dilation, g.shape[2:])
        flat = _flatten(x[images], groups, plan, pad)
        pixels = _flatten(g[images], groups, plan._replace(pixels=plan.windows), (0, 0, 0, 0))
        for group in range(groups):
            windows = _windows(flat[group], plan, w_shape)  # (KH, KW, windows/KW, KW*C)
            gp = _interleaved(pixels[group], KW)  # (windows/KW, KW, O)
            for first in range(KW):
                gemm(gp[:, first].T, windows[:, first], total[group], accumulate=True)
    total = total.reshape(groups, KH, O // groups, KW, per_group).transpose(0, 2, 4, 1, 3)
    return contiguous(total.astype(x.dtype, copy=False)).reshape(w_shape)


class Plan(NamedTuple):
    """Where the pixels of a chunk of images lie, in pixels."""

    images: int
    row: int  # the columns of a row, those of zeros among them
    down: int  # from the first pixel of a window to the first of its next kernel row
    windows: int  # one a pixel of OH rows of all images, rounded up to a multiple of KW
    pixels: int


def _plan(
    images: slice, x_shape: Sequence[int], w_shape: Sequence[int], pad: Pad, dilation: Pair,
    places: Pair,
) -> Plan:
    (KH, KW), W, (_, _, left, right) = w_shape[2:], x_shape[3], pad
    # a window that runs over the end of a row must find no pixel there, only the zeros at the left
    row = max(places[1], W + right + min(left, 0), W + left + min(right, 0))
    count = images.stop - images.start
    down, windows = dilation[0] * count * row, -(-places[0] * count * row // KW) * KW
    return Plan(count, row, down, windows, (KH - 1) * down + windows + KW - 1)


def _chunks(
    x_shape: Sequence[int], w_shape: Sequence[int], places: Pair, dtype: np.dtype
) -> Iterator[slice]:
    """Slices of images whose pixels and sums fit in WORK_BYTES, about."""
    N, C, H, W = x_shape
    numbers = H * W * C + places[0] * places[1] * w_shape[0] * (2 if dtype.itemsize == 2 else 1)
    return chunks(N, numbers * dtype.itemsize)


def _flatten(x: Any, groups: int, plan: Plan, pad: Pad) -> Any:
    """x (n, C, H, W) -> (groups, pixels, C/groups), zeros wherever no pixel of x lies."""
    C, H, W = x.shape[1:]
    flat = cupy.empty((groups, plan.pixels, C // groups), x.dtype)
    _launch_tiles(
        kernel("to_pixels", x.dtype), plan.pixels, C, contiguous(x), flat,
        struct(C, H, W, pad[0], pad[2], plan.images, plan.row), plan.pixels, C // groups,
    )  # fmt: skip
    return flat


def _windows(flat: Any, plan: Plan, w_shape: Sequence[int]) -> Any:
    """The windows of flat (pixels, C): (KH, KW, windows/KW, KW*C); window m*KW + i is [:, i, m]."""
    KH, KW = w_shape[2:]
    pixel, item = flat.strides
    shape = KH, KW, plan.windows // KW, KW * flat.shape[1]
    return as_strided(flat, shape, (plan.down * pixel, pixel, KW * pixel, item))


def _interleaved(pixels: Any, KW: int) -> Any:
    """(windows, O) -> (windows/KW, KW, O), a view."""
    return pixels.reshape(-1, KW, pixels.shape[1])


def _launch_tiles(function: Any, pixels: int, channels: int, *args: Any) -> None:
    """Run a kernel whose blocks exchange tiles of WARP pixels by WARP channels."""
    grid = min(-(-pixels // WARP), MAX_GRID_X), min(-(-channels // WARP), MAX_GRID_Y)
    if pixels:
        function(grid, (WARP, THREADS // WARP), args)
