"""Sums over all but the channels, and of partial sums. The kernels, with the formulas, stand in
`sums.cu`.
"""

from __future__ import annotations

import math
from typing import Any

import cupy

from minigrad import dtypes
from minigrad.kernels.cuda.module import THREADS, WARP, block_shape, contiguous, kernel, launch

BLOCKS = 1024  # about as many as a large GPU runs at once; the sums' order depends on it


def sum_over_channels(g: Any) -> Any:
    """The sum over every axis but 1, the gradient of a bias: (N, O, ...) -> (O,)."""
    return masked_sum(g)


def masked_sum(g: Any, code: Any = None, y: Any = None, gx: Any = None) -> Any:
    """`sum_over_channels` of those g whose maximum a ReLU let pass: with `code`, that of
    `bias_relu_max_pool2d`; with `y`, what the ReLU gave, and they are written to `gx`, too."""
    g, y = contiguous(g), None if y is None else contiguous(y)
    gb, wide = cupy.empty(g.shape[1], g.dtype), dtypes.accumulator(g.dtype)
    (n, channels, pixels, parts), block = shared_out(g)
    if channels and g.ndim == 2 and code is None:  # (N, O)
        columns = -(-channels // WARP)
        parts = _parts(n, THREADS // WARP, columns)
        sums = cupy.empty((parts, channels), wide)
        kernel("column_parts", g.dtype)(
            (columns, parts), (WARP, THREADS // WARP), (g, y, gx, sums, n, channels, parts)
        )
        sum_of_parts(sums, gb)
    elif channels:
        sums = cupy.empty((parts, channels), wide)
        kernel("channel_parts", g.dtype)(
            (channels, parts), block, (g, code, y, gx, sums, n, channels, pixels, parts)
        )
        sum_of_parts(sums, gb)
    return gb


def sum_of_parts(parts: Any, total: Any, accumulate: bool = False) -> None:
    """total (...) = the sum of parts (P, ...) over P, or total += that, part after part.

    Both are C-contiguous; where total has 16 bits, parts are float32.
    """
    function = kernel("sum_of_parts", total.dtype)
    launch(function, total.size, parts, total, len(parts), total.size, int(accumulate))


def shared_out(x: Any) -> tuple[tuple[int, int, int, int], tuple[int, int]]:
    """(N, C, pixels, parts) and the shape of a block, for sums of x over all but the channels."""
    n, channels, pixels = x.shape[0], x.shape[1], math.prod(x.shape[2:])
    block = block_shape(pixels)
    return (n, channels, pixels, _parts(n, block[1], channels)), block


def _parts(n: int, rows: int, blocks: int) -> int:
    """How many blocks share `n` images, of which each takes `rows` at a time."""
    return max(1, min(-(-n // rows), BLOCKS // max(blocks, 1)))
