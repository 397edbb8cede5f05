"""Convolution as a matrix product: the windows of a few images as columns, times the weights.

    columns (C*KH*KW, B*L)    y = W @ columns        gW = g @ columns^T      gcolumns = W^T @ g

L = OH*OW, and B images at a time, so many that the product is large enough to be efficient and the
columns still lie in cache. Threads take images; each has scratch memory of its own and BLAS to
itself. The columns of the whole batch never exist: for AlexNet's second layer they would be 25
times the input. `reference.py` has the same functions as plain loops.
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
        self.inside = (
            ..., slice(pad[0], pad[0] + self.H), slice(pad[2], pad[2] + self.W)
        )  # the image within its padding
        self.trivial = kernel_size == stride == (1, 1) and not any(pad)  # columns are the image

    def images_a_block(self, itemsize: int) -> int:
        """How many images' columns fit into the second-level cache, and at least one."""
        return max(1, min(self.N, L2_BYTES // max(1, self.K * self.L * itemsize)))

    def padded(self, images: int, dtype: Any) -> Array:
        """Zeros of the size of `images` padded images (B, C, H + PT + PB, W + PL + PR)."""
        top, bottom, left, right = self.pad
        shape = (images, self.C, self.H + top + bottom, self.W + left + right)
        return memory.zeros(shape, dtype)

    def columns(self, images: int, dtype: Any) -> Array:
        """Memory for columns (C, KH, KW, B, OH, OW)."""
        return memory.empty((self.C, *self.kernel_size, images, self.OH, self.OW), dtype)

    def read(self, x: Array, padded: Array | None, columns: Array) -> None:
        """Copy the windows of x (B, C, H, W) into `columns` (C, KH, KW, B, OH, OW)."""
        if padded is not None:
            padded[self.inside] = x
            x = padded
        x = x.swapaxes(0, 1)  # (C, B, H, W)
        for kh, kw, rows, cols in self.taps:
            columns[:, kh, kw] = x[:, :, rows, cols]

    def add_back(self, columns: Array, padded: Array) -> Array:
        """The adjoint of `read`: gradients (B, C, H, W) summed from those of the columns."""
        padded.fill(0)
        x = padded.swapaxes(0, 1)  # (C, B, H, W)
        for kh, kw, rows, cols in self.taps:
            x[:, :, rows, cols] += columns[:, kh, kw]
        return padded[self.inside]


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
    images = windows.images_a_block(x.itemsize)

    def run(start: int, stop: int) -> None:
        padded = windows.padded(images, x.dtype) if any(pad) else None
        columns = windows.columns(images, x.dtype)
        product = memory.empty((O, images * L), x.dtype)
        for block in _blocks(start, stop, images):
            B = block.stop - block.start
            if images > B:
                padded = None if padded is None else padded[:B]
                columns, product = windows.columns(B, x.dtype), product[:, : B * L]
            windows.read(x[block], padded, columns)
            right = columns.reshape(groups, -1, B * L)
            # One image's product lands where it belongs; of several, it comes transposed.
            out = y[block].reshape(O, L) if B == 1 else product
            np.matmul(W, right, out=out.reshape(groups, O // groups, B * L))
            target = y[block].reshape(B, O, L).swapaxes(0, 1)  # (O, B, L)
            if b is not None:
                np.add(out.reshape(O, B, L), b[:, None, None], out=target)
            elif B > 1:
                target[...] = out.reshape(O, B, L)

    if 0 < N < get_num_threads():
        _few_images(x, W, b, y, windows)
    else:
        parallel(run, N)
    return y


def _few_images(x: Array, W: Array, b: Array | None, y: Array, windows: _Windows) -> None:
    """`conv2d` for fewer images than threads: these share each product's rows instead."""
    padded = windows.padded(1, x.dtype) if any(windows.pad) else None
    columns = windows.columns(1, x.dtype)
    groups, per_group, _ = W.shape
    for n in range(len(x)):
        windows.read(x[n : n + 1], padded, columns)
        right = columns.reshape(groups, -1, windows.L)
        for group in range(groups):
            rows = slice(group * per_group, (group + 1) * per_group)
            y[n, rows] = matmul(W[group], right[group]).reshape(-1, windows.OH, windows.OW)
        if b is not None:
            y[n] += b[:, None, None]


@in_single
def conv2d_backward_input(
    g: Array, w: Array, x_shape: tuple[int, ...], stride: Pair, pad: Pad, dilation: Pair,
    groups: int,
) -> Array:
    """gx = the columns W^T @ g, added back where they were read: (N, O, OH, OW) -> (N, C, H, W)."""
    windows = _Windows(x_shape, w.shape[2:], stride, pad, dilation)
    N, O, L = len(g), len(w), windows.L
    gx = memory.empty(x_shape, g.dtype)
    W = np.ascontiguousarray(w).reshape(groups, O // groups, -1)
    WT = W.swapaxes(1, 2)  # (G, K/G, O/G)
    images = windows.images_a_block(g.itemsize)

    def run(start: int, stop: int) -> None:
        for block in _blocks(start, stop, images):
            B = block.stop - block.start
            if block.start == start or images > B:
                padded, columns = windows.padded(B, g.dtype), windows.columns(B, g.dtype)
            G = np.ascontiguousarray(g[block].swapaxes(0, 1)).reshape(groups, -1, B * L)
            np.matmul(WT, G, out=columns.reshape(groups, -1, B * L))
            gx[block] = windows.add_back(columns, padded)

    parallel(run, N)
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
        total = memory.zeros((groups, O // groups, windows.K // groups), x.dtype)
        product = memory.empty(total.shape, x.dtype)
        padded = windows.padded(images, x.dtype) if any(pad) else None
        columns = windows.columns(images, x.dtype)
        for block in _blocks(start, stop, images):
            B = block.stop - block.start
            if images > B:
                padded = None if padded is None else padded[:B]
                columns = windows.columns(B, x.dtype)
            windows.read(x[block], padded, columns)
            G = np.ascontiguousarray(g[block].swapaxes(0, 1)).reshape(groups, -1, B * L)
            right = columns.reshape(groups, -1, B * L).swapaxes(1, 2)
            np.matmul(G, right, out=product)
            np.add(total, product, out=total)
        partial[start] = total

    parallel(run, N)
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
            columns = out[n, :, :, :, None]  # (C, KH, KW, 1, OH, OW)
            windows.read(x[n : n + 1], padded, columns)

    parallel(run, N)
    return out.reshape(N, windows.K, windows.L)


def fold(
    columns: Array, x_shape: tuple[int, ...], kernel_size: Pair, stride: Pair, pad: Pad,
    dilation: Pair,
) -> Array:
    """col2im: (N, C*KH*KW, L) -> (N, C, H, W), overlapping windows summed."""
    windows = _Windows(x_shape, kernel_size, stride, pad, dilation)
    N, C = x_shape[:2]
    shaped = columns.reshape(N, C, *kernel_size, windows.OH, windows.OW)
    out = memory.empty(x_shape, columns.dtype)

    def run(start: int, stop: int) -> None:
        padded = windows.padded(1, columns.dtype)
        for n in range(start, stop):
            out[n] = windows.add_back(shaped[n, :, :, :, None], padded)[0]

    parallel(run, N)
    return out
