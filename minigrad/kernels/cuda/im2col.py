"""Convolution as a matrix product over columns: im2col, cuBLAS, col2im.

The columns of a chunk of images are one matrix (C*KH*KW, n*L), so that one product serves them all,
or one for each group of channels. Its other matrix, or its result, has the channels outermost, and
NCHW does not: a copy mends that. A product for each image, (C*KH*KW, L), needs no copy, for cuBLAS
takes a batch of them at any distance; `_by_image` and conv2d_backward_weight say when that is less.

The columns are rebuilt in the backward, and a chunk's fit in `views.WORK_BYTES` unless one image
alone is larger. float16 is summed in float32, float32 becomes TF32 where that is allowed. The
kernels, with the index formula, stand in `columns.cu`.

Bytes, for AlexNet's second layer (96 maps of 26x26 to 256, 5x5) and 128 images in float32: x 33 MB
is read, the columns 831 MB are written and read, the product 89 MB is written, read and written
once more, with the bias, where y wants it: 1962 MB.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import cupy
import numpy as np

from minigrad import dtypes
from minigrad.kernels import geometry
from minigrad.kernels.cuda import views
from minigrad.kernels.cuda.module import contiguous, kernel, launch_planes, window
from minigrad.kernels.cuda.sums import sum_of_parts
from minigrad.kernels.cuda.views import gemm
from minigrad.kernels.geometry import Pad, Pair

Options = tuple[Pair, Pair, Pad, Pair]  # kernel_size, stride, pad, dilation

TILE = 128  # cuBLAS cuts the places of an image into tiles about so long, and fills up the last
COPY = 64  # moving a number (3 ps at 2.8 TB/s) costs as much as so many float32 products on an H100


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
    weights = w.reshape(groups, w.shape[0] // groups, -1)  # (G, O/G, K), K = C/G*KH*KW
    by_image = b is None and _by_image(weights, oh * ow)  # to add b is a copy, too
    for images in chunks(x.shape, options, x.dtype):
        if by_image:
            yi = y[images].reshape(-1, w.shape[0], oh * ow)  # (n, O, L)
            gemm(weights[0], unfold(x[images], *options), yi)
            continue
        cols = unfold_matrix(x[images], options)  # (C*KH*KW, n*L)
        product = cupy.empty((w.shape[0], cols.shape[1]), x.dtype)  # (O, n*L)
        gemm(weights, by_group(groups, cols), by_group(groups, product))
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
    rows, places = _rows(x_shape, options), g.shape[2] * g.shape[3]
    gx = cupy.empty(tuple(x_shape), g.dtype)
    weights = w.reshape(groups, w.shape[0] // groups, -1)  # (G, O/G, K)
    by_image = _by_image(weights, places)
    for images in chunks(x_shape, options, g.dtype):
        if by_image:
            gi = g[images].reshape(-1, w.shape[0], places)  # (n, O, L)
            cols = cupy.empty((len(gi), rows, places), g.dtype)  # (n, C*KH*KW, L)
            gemm(weights[0].T, gi, cols)
            _col2im(cols, gx[images], options, image_step=rows * places, row_step=places)
            continue
        gm = channels_first(g[images])  # (O, n*L)
        cols = cupy.empty((rows, gm.shape[1]), g.dtype)  # (C*KH*KW, n*L)
        gemm(weights.swapaxes(1, 2), by_group(groups, gm), by_group(groups, cols))
        _col2im(cols, gx[images], options, image_step=places, row_step=cols.shape[1])
    return gx


def conv2d_backward_weight(
    g: Any, x: Any, w_shape: Sequence[int], stride: Pair, pad: Pad, dilation: Pair, groups: int
) -> Any:
    """gw (O, C/groups, KH, KW) = g @ unfold(x).T, summed over the chunks in float32 or better.

    One product sums over all places of all images, and wants g's channels outermost: O*L numbers of
    an image are read and written. Or each image has a gw of its own, of O*K numbers, and these are
    added up: they are fewer in a first layer, with its large maps and its few input channels.
    """
    options = (w_shape[2], w_shape[3]), stride, pad, dilation
    size, places = math.prod(w_shape[1:]), g.shape[2] * g.shape[3]  # K, L
    total = cupy.zeros((w_shape[0], size), dtypes.accumulator(x.dtype))
    fewer = size * total.dtype.itemsize < places * x.dtype.itemsize
    by_image = groups == 1 and fewer and _aligned(places, x.dtype)
    for images in chunks(x.shape, options, x.dtype):
        if by_image:
            cols = unfold(x[images], *options)  # (n, K, L)
            each = cupy.empty((len(cols), *total.shape), total.dtype)  # (n, O, K)
            gemm(g[images].reshape(-1, w_shape[0], places), cols.swapaxes(1, 2), each)
            sum_of_parts(each, total, accumulate=True)
            continue
        cols, gm = unfold_matrix(x[images], options), channels_first(g[images])
        cols, gm = by_group(groups, cols), by_group(groups, gm)  # (G, K, n*L), (G, O/G, n*L)
        gemm(gm, cols.swapaxes(1, 2), by_group(groups, total), accumulate=True)
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


def by_group(groups: int, matrix: Any) -> Any:
    """A matrix whose rows are shared out: (G, rows/G, columns), a view."""
    return matrix.reshape(groups, matrix.shape[0] // groups, matrix.shape[1])


def _by_image(weights: Any, places: int) -> bool:
    """Whether a product for each image is cheaper than one for all of them and a copy.

    The copy reads and writes one number for each of y's, that is, for K products. The products of
    single images are over L places, of which the last tile may be mostly empty. This is reckoned,
    not measured.
    """
    groups, _, k = weights.shape
    wasted = -places % TILE * k
    return groups == 1 and wasted < COPY * places and _aligned(places, weights.dtype)


def _aligned(places: int, dtype: np.dtype) -> bool:
    """Whether each row of an image's matrix begins at a multiple of the 16 bytes of a vector."""
    return places * dtype.itemsize % 16 == 0


def chunks(x_shape: Sequence[int], options: Options, dtype: np.dtype) -> Iterator[slice]:
    """Slices of images whose columns fit in WORK_BYTES."""
    places = math.prod(geometry.output_shape(x_shape, *options))
    return views.chunks(x_shape[0], _rows(x_shape, options) * places * dtype.itemsize)
