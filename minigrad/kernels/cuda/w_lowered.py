"""Convolution by columns along the width only, and one batched product that overlaps itself.

im2col copies each pixel KH*KW times. Here it is copied KW times: row q of the lowered input holds,
for every channel c and tap s, the row of x moved by s,

    low[q][c, s][n, ow] = x[n, c, q - top, ow*SW - left + s*DW]

and the columns of output row oh are the lowered rows oh*SH ... oh*SH + KH - 1, which lie one after
the other: a matrix (KH*C*KW, N*OW) that begins oh*SH rows further on. So y is one product batched
over oh, with the weights for all of them and a batch stride that lets the matrices overlap:

    y[oh] (O, N*OW) = w (O, KH*C*KW) @ low[oh*SH :][: KH] (KH*C*KW, N*OW)

Dilation along the height: every DH-th output row belongs together, DH convolutions without.
The weight gradient sums over n, ow in the product, into one part for each oh, and then the parts.

Bytes beside im2col's 1962 MB (im2col.py says for what): x 33 MB read, lowered rows 192 MB written
and read (an overlapping read comes from cache, we hope), the product 89 MB written, read and
written once more, in runs of OW, where y wants it: 684 MB.
Source of the idea: Cho and Brand (2017), "MEC: memory-efficient convolution", arXiv:1706.06873.
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
from minigrad.kernels.cuda.module import contiguous, kernel, launch_planes, window
from minigrad.kernels.cuda.sums import sum_of_parts
from minigrad.kernels.cuda.views import as_strided, chunks, gemm
from minigrad.kernels.geometry import Pad, Pair


def lacks(dtype: np.dtype, w_shape: Sequence[int], stride: Pair, dilation: Pair) -> str:
    """What a convolution would need for this algorithm: nothing."""
    return ""


def conv2d(
    x: Any, w: Any, b: Any | None, stride: Pair, pad: Pad, dilation: Pair, groups: int
) -> Any:
    """x (N, C, H, W) with w (O, C/groups, KH, KW) and b (O,) or None -> y (N, O, OH, OW)."""
    O, per_group, KH, KW = w.shape
    OH, OW = geometry.output_shape(x.shape, (KH, KW), stride, pad, dilation)
    y = cupy.empty((x.shape[0], O, OH, OW), x.dtype)
    weights = w.reshape(groups, -1, per_group, KH, KW).transpose(0, 1, 3, 2, 4)
    weights = contiguous(weights).reshape(groups, O // groups, -1)  # (groups, O/groups, KH*C*KW)
    for rows in _lowered_rows(x, w.shape, stride, pad, dilation, groups, (OH, OW)):
        target = y[rows.images, :, rows.places]  # (n, O, oh, OW)
        for group, low in enumerate(rows.matrices):
            product = cupy.empty((low.shape[0], O // groups, low.shape[2]), x.dtype)
            gemm(weights[group], low, product)
            product = product.reshape(*product.shape[:2], -1, OW).transpose(2, 1, 0, 3)
            outputs = slice(group * (O // groups), (group + 1) * (O // groups))
            if b is None:
                target[:, outputs] = product  # (n, O/groups, oh, OW)
            else:
                cupy.add(product, b[outputs, None, None], out=target[:, outputs])
    return y


conv2d_backward_input = partial(adjoint.backward_input, conv2d)


def conv2d_backward_weight(
    g: Any, x: Any, w_shape: Sequence[int], stride: Pair, pad: Pad, dilation: Pair, groups: int
) -> Any:
    """gw[oh] (O, KH*C*KW) = g[oh] (O, N*OW) @ low[oh*SH :][: KH].T, summed over oh."""
    O, per_group, KH, KW = w_shape
    wide = dtypes.accumulator(x.dtype)
    total = cupy.zeros((groups, O // groups, KH * per_group * KW), wide)
    for rows in _lowered_rows(x, w_shape, stride, pad, dilation, groups, g.shape[2:]):
        gr = g[rows.images, :, rows.places]
        gr = contiguous(gr.transpose(2, 1, 0, 3)).reshape(gr.shape[2], O, -1)  # (oh, O, n*OW)
        for group, low in enumerate(rows.matrices):
            outputs = slice(group * (O // groups), (group + 1) * (O // groups))
            parts = cupy.empty((low.shape[0], *total.shape[1:]), wide)
            gemm(gr[:, outputs], low.swapaxes(1, 2), parts)
            sum_of_parts(parts, total[group], accumulate=True)
    total = total.reshape(O, KH, per_group, KW).transpose(0, 2, 1, 3)
    return contiguous(total.astype(x.dtype, copy=False))


class Rows(NamedTuple):
    """Some images' windows in every DH-th output row, as matrices that overlap."""

    images: slice
    places: slice  # the output rows
    matrices: list[Any]  # one a group: (output rows, KH*C/groups*KW, n*OW)


def _lowered_rows(
    x: Any, w_shape: Sequence[int], stride: Pair, pad: Pad, dilation: Pair, groups: int,
    places: Pair,
) -> Iterator[Rows]:
    """Lower x, a chunk of images and a remainder of oh modulo DH at a time."""
    _, per_group, KH, KW = w_shape
    (SH, SW), (DH, DW), (OH, OW), C = stride, dilation, places, x.shape[1]
    step = DH if KH > 1 else 1
    longest = (-(-OH // step) - 1) * SH + KH  # rows
    for images in chunks(x.shape[0], longest * C * KW * OW * x.dtype.itemsize):
        part = contiguous(x[images])
        for first in range(min(step, OH)):
            outputs = len(range(first, OH, step))
            count, length = (outputs - 1) * SH + KH, part.shape[0] * OW
            low = cupy.empty((groups, count, per_group * KW, length), x.dtype)
            options = (1, KW), (step, SW), (pad[0] - first * SH, 0, *pad[2:]), (1, DW)
            launch_planes(
                kernel("lower_width", x.dtype), part.shape[0] * C, count * OW,
                part, low, window(x.shape, *options, (count, OW)), part.shape[0] * C, per_group,
            )  # fmt: skip
            shape = outputs, KH * per_group * KW, length
            _, row, line, item = low.strides
            matrices = [as_strided(lowered, shape, (SH * row, line, item)) for lowered in low]
            yield Rows(images, slice(first, OH, step), matrices)
