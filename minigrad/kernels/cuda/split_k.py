"""im2col with a weight gradient in parts: more blocks of threads for small results.

    gw (O, K) = g (O, M) @ columns (K, M).T,   M = N*OH*OW

sums over up to a third of a million places, but the result is small: 96x363 for AlexNet's first
layer, one or two tiles of a matrix product, while a GPU runs a hundred and more at a time. So M is
cut into chunks, a batch of products makes one partial sum of each, and `sum_of_parts` adds them up
in a fixed order: two runs give the same bits, which cuBLAS's own split over atomics need not.

Bytes beside im2col's: each partial sum is O*K numbers, written and read. AlexNet's second layer has
20 tiles, so 6 parts of 2.5 MB, in each of 4 chunks of images: 118 MB on top of 1962 MB (x read, the
columns written and read, g read, written with its channels outermost, and read).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cupy
import numpy as np

from minigrad import dtypes
from minigrad.kernels.cuda import im2col
from minigrad.kernels.cuda.im2col import conv2d, conv2d_backward_input
from minigrad.kernels.cuda.sums import sum_of_parts
from minigrad.kernels.cuda.views import as_strided, gemm
from minigrad.kernels.geometry import Pad, Pair

__all__ = ["conv2d", "conv2d_backward_input", "conv2d_backward_weight"]

TILE = 128, 256  # of the result, which a block of threads computes
BLOCKS = 132  # that a GPU runs at a time: an H100's multiprocessors
SHORTEST = 512  # terms in a part, that it may be worth its bytes


def lacks(dtype: np.dtype, w_shape: Sequence[int], stride: Pair, dilation: Pair) -> str:
    """What a convolution would need for this algorithm: nothing."""
    return ""


def conv2d_backward_weight(
    g: Any, x: Any, w_shape: Sequence[int], stride: Pair, pad: Pad, dilation: Pair, groups: int
) -> Any:
    """gw (O, C/groups, KH, KW) = g @ unfold(x).T, summed in float32 or better."""
    options = (w_shape[2], w_shape[3]), stride, pad, dilation
    total = cupy.zeros((w_shape[0], math.prod(w_shape[1:])), dtypes.accumulator(x.dtype))
    for images in im2col.chunks(x.shape, options, x.dtype):
        gm = im2col.channels_first(g[images])  # (O, n*L)
        cols = im2col.unfold_matrix(x[images], options)  # (C*KH*KW, n*L)
        by_group = (im2col.by_group(groups, matrix) for matrix in (gm, cols, total))
        for gg, cg, tg in zip(*by_group, strict=True):
            add_product(gg, cg, tg)
    return total.astype(x.dtype, copy=False).reshape(w_shape)


def add_product(a: Any, b: Any, total: Any) -> None:
    """total (O, K) += a (O, M) @ b (K, M).T, by partial sums over chunks of M."""
    (O, M), K = a.shape, b.shape[0]
    tiles = -(-O // TILE[0]) * -(-K // TILE[1])
    parts = max(1, min(BLOCKS // tiles, M // SHORTEST))
    length = M // parts
    sums = cupy.empty((parts, O, K), total.dtype)
    gemm(_cut(a, parts, length), _cut(b, parts, length).swapaxes(1, 2), sums)
    rest = parts * length
    if rest < M:
        gemm(a[:, rest:], b[:, rest:].T, sums[0], accumulate=True)
    sum_of_parts(sums, total, accumulate=True)


def _cut(a: Any, parts: int, length: int) -> Any:
    """a (R, M) as `parts` matrices (R, length), side by side in it."""
    row, item = a.strides
    return as_strided(a, (parts, a.shape[0], length), (length * item, row, item))
