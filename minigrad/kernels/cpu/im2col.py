"""Convolution as a matrix product: the windows of a few images as columns, times the weights.

    columns (C*KH*KW, L*B)    y = W @ columns        gW = g @ columns^T      gcolumns = W^T @ g

L = OH*OW, and B images at a time, so many that the product is large enough to be efficient and the
columns still lie in cache. Within such a block the images are innermost, (C, H, W, B): then a row
of a window is one run of W*B numbers, and NumPy, which pays for every run, is fast for small maps
too. Threads take images; each has scratch memory of its own and BLAS to itself. The columns of the
whole batch never exist: for AlexNet's second layer they would be 25 times the input.
`kernels/reference/conv.py` has the same functions as plain loops.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from minigrad.kernels.cpu import memory
from minigrad.kernels.cpu.half import in_single
from minigrad.kernels.cpu.matmul import matmul
from minigrad.kernels.cpu.threads import L2_BYTES, get_num_threads, parallel
from minigrad.kernels.geometry import Pad, Pair, output_shape, tap_positions

Array = np.ndarray


class _Windows:
    """Where the windows of one convolution lie: reads them into columns, adds columns back."""

    def __init__(
        self, x_shape: tuple[int, ...], kernel_size: Pair, stride: Pair, pad: Pad, dilation: Pair
    ) -> None:
        self.N, self.C, self.H, self.W = x_shape
        self.kernel_size, self.pad = kernel_size, pad
        self.OH, self.OW = output_shape(x_shape, kernel_size, stride, pad, dilation)
        self.L = self.OH * self.OW
        self.K = self.C * kernel_size[0] * kernel_size[1]
        self.taps = [
            (
                kh, kw,
                tap_positions(kh, self.OH, stride[0], dilation[0]),
                tap_positions(kw, self.OW, stride[1], dilation[1]),
            )
            for kh in range(kernel_size[0])
            for kw in range(kernel_size[1])
        ]
        top, _, left, _ = pad
        self.inside = (slice(None), slice(top, top + self.H), slice(left, left + self.W))

    def images_a_block(self, itemsize: int) -> int:
        """How many images' columns fit into the second-level cache, and at least one."""
        return max(1, min(self.N, L2_BYTES // max(1, self.K * self.L * itemsize)))

    def work(self, O: int) -> float:
        """Of a product with the columns of all images, for `parallel`: 256 multiplications take
        about as long as one pass over an element."""
        return self.N * self.L * self.K * O / 256

    def padded(self, images: int, dtype: Any) -> Array:
        """Zeros of the size of a block of padded images (C, H + PT + PB, W + PL + PR, B)."""
        top, bottom, left, right = self.pad
        shape = (self.C, self.H + top + bottom, self.W + left + right, images)
        return memory.zeros(shape, dtype)

    def columns(self, images: int, dtype: Any) -> Array:
        """Memory for columns (C, KH, KW, OH, OW, B)."""
        return memory.empty((self.C, *self.kernel_size, self.OH, self.OW, images), dtype)

    def read(self, x: Array, padded: Array, columns: Array) -> None:
        """Copy the windows of x (B, C, H, W) into `columns` (C, KH, KW, OH, OW, B)."""
        _copy(_images_last(x), padded[self.inside])
        for kh, kw, rows, cols in self.taps:
            columns[:, kh, kw] = padded[:, rows, cols]

    def add_back(self, columns: Array, padded: Array, gx: Array) -> None:
        """The adjoint of `read`: gx (B, C, H, W) is the sum of what the columns hold of it."""
        padded.fill(0)
        for kh, kw, rows, cols in self.taps:
            padded[:, rows, cols] += columns[:, kh, kw]
        np.copyto(gx, padded[self.inside].transpose(3, 0, 1, 2))


def _images_last(x: Array) -> Array:
    """(B, C, H, W) as (C, H, W, B)."""
    return x.transpose(1, 2, 3, 0)


def _copy(x: Array, block: Array) -> Array:
    """block = x, both (C, H, W, B): image by image where runs of B numbers are too short."""
    if x.shape[3] > 8:
        block[...] = x
    else:
        for i in range(x.shape[3]):
            block[..., i] = x[..., i]
    return block


def _blocks(start: int, stop: int, size: int) -> Iterator[slice]:
    for i in range(start, stop, size):
        yield slice(i, min(i + size, stop))


@in_single
def conv2d(
    x: Array, w: Array, b: Array | None, stride: Pair, pad: Pad, dilation: Pair, groups: int
) -> Array:
    """y = W @ columns + b: (N, C, H, W), (O, C/groups, KH, KW), (O,) -> (N, O, OH, OW)."""
    windows = _Windows(x.shape, w.shape[2:], stride, pad, dilation)
    N, O, L = len(x), len(w), windows.L
    y = memory.empty((N, O, windows.OH, windows.OW), x.dtype)
    W = np.ascontiguousarray(w).reshape(groups, O // groups, -1)  # (G, O/G, K/G)
    bias = None if b is None else b[:, None, None]
    images = windows.images_a_block(x.itemsize)

    def run(start: int, stop: int) -> None:
        padded = windows.padded(images, x.dtype)
        for block in _blocks(start, stop, images):
            B = block.stop - block.start
            columns = windows.columns(B, x.dtype)
            windows.read(x[block], padded[..., :B], columns)
            product = memory.empty((groups, O // groups, L * B), x.dtype)
            np.matmul(W, columns.reshape(groups, -1, L * B), out=product)
            _finish(product.reshape(O, windows.OH, windows.OW, B), bias, y[block])

    if 0 < N < get_num_threads():
        _few_images(x, W, bias, y, windows)
    else:
        parallel(run, N, windows.work(O))
    return y


def _finish(product: Array, bias: Array | None, y: Array) -> None:
    """y (B, O, OH, OW) = product (O, OH, OW, B) + bias (O, 1, 1)."""
    product = product.transpose(3, 0, 1, 2)
    if bias is None:
        np.copyto(y, product)
    else:
        np.add(product, bias, out=y)


def _few_images(x: Array, W: Array, bias: Array | None, y: Array, windows: _Windows) -> None:
    """`conv2d` for fewer images than threads: these share the rows of one product instead."""
    N, groups = len(x), len(W)
    columns = windows.columns(N, x.dtype)
    windows.read(x, windows.padded(N, x.dtype), columns)
    right = columns.reshape(groups, -1, windows.L * N)
    product = np.concatenate([matmul(W[g], right[g]) for g in range(groups)])
    _finish(product.reshape(-1, windows.OH, windows.OW, N), bias, y)


@in_single
def conv2d_backward_input(
    g: Array, w: Array, x_shape: tuple[int, ...], stride: Pair, pad: Pad, dilation: Pair,
    groups: int,
) -> Array:
    """gx = the columns W^T @ g, added back where they were read: (N, O, OH, OW) -> (N, C, H, W)."""
    windows = _Windows(x_shape, w.shape[2:], stride, pad, dilation)
    N, O, L = len(g), len(w), windows.L
    gx = memory.empty(x_shape, g.dtype)
    WT = np.ascontiguousarray(w).reshape(groups, O // groups, -1).swapaxes(1, 2)  # (G, K/G, O/G)
    images = windows.images_a_block(g.itemsize)

    def run(start: int, stop: int) -> None:
        padded = windows.padded(images, g.dtype)
        for block in _blocks(start, stop, images):
            B = block.stop - block.start
            columns = windows.columns(B, g.dtype)
            G = memory.empty((O, windows.OH, windows.OW, B), g.dtype)
            G = _copy(_images_last(g[block]), G).reshape(groups, -1, L * B)
            np.matmul(WT, G, out=columns.reshape(groups, -1, L * B))
            windows.add_back(columns, padded[..., :B], gx[block])

    parallel(run, N, windows.work(O))
    return gx


@in_single
def conv2d_backward_weight(
    g: Array, x: Array, w_shape: tuple[int, ...], stride: Pair, pad: Pad, dilation: Pair,
    groups: int,
) -> Array:
    """gw = g @ columns^T, summed over the batch: (N, O, OH, OW), (N, C, H, W) -> w_shape."""
    windows = _Windows(x.shape, (w_shape[2], w_shape[3]), stride, pad, dilation)
    N, O, L = len(x), w_shape[0], windows.L
    # Each product is added to the total, a pass over the weights: let it sum over many positions.
    images = max(windows.images_a_block(x.itemsize), min(-(-N // get_num_threads()), 1024 // L))
    partial: dict[int, Array] = {}  # by the first image of a thread's range

    def run(start: int, stop: int) -> None:
        total: Any = None
        padded = windows.padded(images, x.dtype)
        for block in _blocks(start, stop, images):
            B = block.stop - block.start
            columns = windows.columns(B, x.dtype)
            windows.read(x[block], padded[..., :B], columns)
            G = memory.empty((O, windows.OH, windows.OW, B), g.dtype)
            G = _copy(_images_last(g[block]), G).reshape(groups, -1, L * B)
            product = memory.empty((groups, O // groups, windows.K // groups), x.dtype)
            np.matmul(G, columns.reshape(groups, -1, L * B).swapaxes(1, 2), out=product)
            total = product if total is None else np.add(total, product, out=total)
        partial[start] = total

    parallel(run, N, windows.work(O))
    gw = memory.zeros(w_shape, x.dtype)
    for start in sorted(partial):  # in a fixed order: the same bits whichever thread was first
        gw += partial[start].reshape(w_shape)
    return gw


def unfold(x: Array, kernel_size: Pair, stride: Pair, pad: Pad, dilation: Pair) -> Array:
    """im2col: (N, C, H, W) -> (N, C*KH*KW, L)."""
    windows = _Windows(x.shape, kernel_size, stride, pad, dilation)
    N, C = x.shape[:2]
    out = memory.empty((N, C, *kernel_size, windows.OH, windows.OW), x.dtype)

    def run(start: int, stop: int) -> None:
        padded = windows.padded(1, x.dtype)
        for n in range(start, stop):
            windows.read(x[n : n + 1], padded, out[n, ..., None])

    parallel(run, N, out.size)
    return out.reshape(N, windows.K, windows.L)


def fold(
    columns: Array, x_shape: tuple[int, ...], kernel_size: Pair, stride: Pair, pad: Pad,
    dilation: Pair,
) -> Array:
    """col2im: (N, C*KH*KW, L) -> (N, C, H, W), overlapping windows summed."""
    windows = _Windows(x_shape, kernel_size, stride, pad, dilation)
    N, C = x_shape[:2]
    shaped = columns.reshape(N, C, *kernel_size, windows.OH, windows.OW, 1)
    gx = memory.empty(x_shape, columns.dtype)

    def run(start: int, stop: int) -> None:
        padded = windows.padded(1, columns.dtype)
        for n in range(start, stop):
            windows.add_back(shaped[n], padded, gx[n : n + 1])

    parallel(run, N, columns.size)
    return gx
