"""Convolution as a matrix product over columns: im2col, cuBLAS, col2im.

The columns of a chunk of images are one matrix (C*KH*KW, n*L), so that every product here is a
plain 2-D one. For those CuPy calls cuBLAS without copying a transposed operand, in float16 with
tensor cores and float32 sums, and with TF32 where that is switched on; its batched product does
none of this. The columns are rebuilt in the backward, and a chunk's fit in `views.WORK_BYTES`
unless one image alone is larger. The kernels, with the index formula, stand in `columns.cu`.

Bytes, for AlexNet's second layer (96 maps of 26x26 to 256, 5x5) and 128 images in float32: x 33 MB
is read, the columns 831 MB are written and read, the product 89 MB is written, read and written
once more where y wants it: 1962 MB.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import cupy
import numpy as np

from minigrad.kernels import geometry
from minigrad.kernels.cuda import views
from minigrad.kernels.cuda.module import contiguous, kernel, launch_planes, window
from minigrad.kernels.geometry import Pad, Pair

Options = tuple[Pair, Pair, Pad, Pair]  # kernel_size, stride, pad, dilation


def lacks(dtype: np.dtype, w_shape: Sequence[int], stride: Pair, dilation: Pair) -> str:
    """What a convolution would need for this algorithm: nothing."""
    return ""


def conv2d(
    x: Any, w: Any, b: Any | None, stride: Pair, pad: Pad, dilation: Pair, groups: int
) -> Any:
    """x (N, C, H, W) with w (O, C/groups, KH, KW) and b (O,) or None -> y (N, O, OH, OW)."""
    options = w.shape[2:], stride, pad, dilation
    oh, ow = geometry.output_shape(x.shape, *options)
    y = cupy.empty((x.shape[0], w.shape[0], oh, ow), x.dtype)
    weights = w.reshape(w.shape[0], -1)  # (O, K), K = C/groups*KH*KW
    for images in chunks(x.shape, options, x.dtype):
        cols = unfold_matrix(x[images], options)  # (C*KH*KW, n*L)
        product = cupy.empty((w.shape[0], cols.shape[1]), x.dtype)  # (O, n*L)
        for wg, cg, yg in by_group(groups, weights, cols, product):
            views.gemm(wg, cg, yg)
        product = product.reshape(w.shape[0], -1, oh, ow).transpose(1, 0, 2, 3)  # (n, O, OH, OW)
        if b is None:
            y[images] = product
        else:
            cupy.add(product, b[:, None, None], out=y[images])
    return y


def conv2d_backward_input(
    g: Any, w: Any, x_shape: Sequence[int], stride: Pair, pad: Pad, dilation: Pair, groups: int
) -> Any:
    """gx (N, C, H, W) = fold(w.T @ g), for g (N, O, OH, OW)."""
    options = w.shape[2:], stride, pad, dilation
    gx = cupy.empty(tuple(x_shape), g.dtype)
    weights = w.reshape(w.shape[0], -1)  # (O, K)
    for images in chunks(x_shape, options, g.dtype):
        gm = channels_first(g[images])  # (O, n*L)
        cols = cupy.empty((_rows(x_shape, options), gm.shape[1]), g.dtype)  # (C*KH*KW, n*L)
        for wg, gg, cg in by_group(groups, weights, gm, cols):
            views.gemm(wg.T, gg, cg)
        places = g.shape[2] * g.shape[3]
        _col2im(cols, gx[images], options, image_step=places, row_step=cols.shape[1])
    return gx


def conv2d_backward_weight(
    g: Any, x: Any, w_shape: Sequence[int], stride: Pair, pad: Pad, dilation: Pair, groups: int
) -> Any:
    """gw (O, C/groups, KH, KW) = g @ unfold(x).T, summed over the chunks in float32 or better."""
    options = (w_shape[2], w_shape[3]), stride, pad, dilation
    total = cupy.zeros((w_shape[0], math.prod(w_shape[1:])), np.result_type(x.dtype, np.float32))
    for images in chunks(x.shape, options, x.dtype):
        cols = unfold_matrix(x[images], options)  # (C*KH*KW, n*L)
        gm = channels_first(g[images])  # (O, n*L)
        for gg, cg, tg in by_group(groups, gm, cols, total):
            views.gemm(gg, cg.T, tg, accumulate=True)
    return total.astype(x.dtype, copy=False).reshape(w_shape)


def unfold(x: Any, kernel_size: Pair, stride: Pair, pad: Pad, dilation: Pair) -> Any:
    """x (N, C, H, W) -> columns (N, C*KH*KW, L), L = OH*OW."""
    options = kernel_size, stride, pad, dilation
    rows, places = _rows(x.shape, options), math.prod(geometry.output_shape(x.shape, *options))
    cols = cupy.empty((x.shape[0], rows, places), x.dtype)
    _im2col(x, cols, options, image_step=rows * places, row_step=places)
    return cols


def fold(
    columns: Any, x_shape: Sequence[int], kernel_size: Pair, stride: Pair, pad: Pad, dilation: Pair
) -> Any:
    """columns (N, C*KH*KW, L) -> (N, C, H, W), the sum of all entries that look at a pixel."""
    options = kernel_size, stride, pad, dilation
    rows, places = columns.shape[1:]
    x = cupy.empty(tuple(x_shape), columns.dtype)
    _col2im(contiguous(columns), x, options, image_step=rows * places, row_step=places)
    return x


def _im2col(x: Any, cols: Any, options: Options, image_step: int, row_step: int) -> None:
    planes, places = x.shape[0] * x.shape[1], geometry.output_shape(x.shape, *options)
    launch_planes(
        kernel("im2col", x.dtype), planes, math.prod(places),
        contiguous(x), cols, window(x.shape, *options, places), planes, image_step, row_step,
    )  # fmt: skip


def _col2im(cols: Any, x: Any, options: Options, image_step: int, row_step: int) -> None:
    planes, places = x.shape[0] * x.shape[1], geometry.output_shape(x.shape, *options)
    launch_planes(
        kernel("col2im", x.dtype), planes, x.shape[2] * x.shape[3],
        cols, x, window(x.shape, *options, places), planes, image_step, row_step,
    )  # fmt: skip


def unfold_matrix(x: Any, options: Options) -> Any:
    """The columns of all images of x as one matrix (C*KH*KW, n*L)."""
    places = math.prod(geometry.output_shape(x.shape, *options))
    cols = cupy.empty((_rows(x.shape, options), x.shape[0] * places), x.dtype)
    _im2col(x, cols, options, image_step=places, row_step=cols.shape[1])
    return cols


def channels_first(g: Any) -> Any:
    """g (n, O, OH, OW) -> the matrix (O, n*L)."""
    return contiguous(g.transpose(1, 0, 2, 3)).reshape(g.shape[1], -1)


def _rows(x_shape: Sequence[int], options: Options) -> int:
    return x_shape[1] * math.prod(options[0])


def by_group(groups: int, *matrices: Any) -> Iterator[tuple[Any, ...]]:
    """For each group, its share of the rows of every matrix, as views."""
    split = [matrix.reshape(groups, -1, matrix.shape[1]) for matrix in matrices]
    return zip(*split, strict=True)


def chunks(x_shape: Sequence[int], options: Options, dtype: np.dtype) -> Iterator[slice]:
    """Slices of images whose columns fit in WORK_BYTES."""
    places = math.prod(geometry.output_shape(x_shape, *options))
    return views.chunks(x_shape[0], _rows(x_shape, options) * places * dtype.itemsize)
