"""Convolution as a matrix product: the windows of a few rows as columns, times the weights.

    columns (C*KH*KW, L*B)    y = W @ columns        gW = g @ columns^T      gcolumns = W^T @ g

for L of the OH*OW positions of B images: some rows of the output at a time, a few megabytes of
columns. Images are innermost (see `layout.py`), so a tap of all those windows is one strided
view of the input, all taps are one view of six axes, and a single copy makes the columns. They
never exist for the whole batch: for AlexNet's second layer they would be 25 times the input.
`kernels/reference/conv.py` has the same functions as plain loops.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from minigrad.kernels.cpu import memory
from minigrad.kernels.cpu.cores import parallel
from minigrad.kernels.cpu.layout import (
    LONG_BYTES,
    Block,
    blocks,
    empty_maps,
    fitting,
    images_last,
    region,
    shares,
)
from minigrad.kernels.geometry import Pad, Pair, output_shape, span, tap_positions

Array = np.ndarray


def cost(shape: tuple[int, ...], w_shape: tuple[int, ...], groups: int) -> float:
    """About how many nanoseconds one core needs for maps of `shape`, measured on AlexNet, VGG and
    ResNet layers: 0.02 to multiply and add, 1 to copy a number to the columns, where BLAS packs it
    once more."""
    (N, _, OH, OW), (O, C, KH, KW) = shape, w_shape
    return N * OH * OW * groups * C * KH * KW * (0.02 * O / groups + 1)


class _Windows:
    """Where the windows of one convolution lie: reads them into columns, adds columns back."""

    def __init__(
        self, x_shape: tuple[int, ...], kernel_size: Pair, stride: Pair, pad: Pad, dilation: Pair
    ) -> None:
        self.N, self.C, self.H, self.W = x_shape
        self.kernel_size, self.stride, self.pad, self.dilation = kernel_size, stride, pad, dilation
        self.OH, self.OW = output_shape(x_shape, kernel_size, stride, pad, dilation)
        self.K = self.C * kernel_size[0] * kernel_size[1]

    def seen(self, rows: slice) -> tuple[int, int]:
        """(first, count): the rows of the padded input that these rows of the output look at."""
        count = (rows.stop - rows.start - 1) * self.stride[0]
        return rows.start * self.stride[0], count + span(self.kernel_size[0], self.dilation[0])

    def columns(self, x: Array, rows: slice) -> Array:
        """The windows of `rows` in x (C, H, W, B), as (C*KH*KW, rows, OW, B)."""
        first, count = self.seen(rows)
        top, _, left, right = self.pad
        slab = region(x, top - first, left, count, left + self.W + right)
        (SH, SW), (DH, DW) = self.stride, self.dilation
        c, h, w, n = slab.strides
        shape = (self.C, *self.kernel_size, rows.stop - rows.start, self.OW, x.shape[3])
        view = as_strided(slab, shape, (c, h * DH, w * DW, h * SH, w * SW, n))
        if self.kernel_size == self.stride == (1, 1):  # the columns are the image
            return view[:, 0, 0]
        columns = memory.empty(shape, x.dtype)
        np.copyto(columns, view)
        return columns.reshape(self.K, *shape[3:])

    def add_back(self, columns: Array, slab: Array) -> None:
        """The adjoint of `columns`: adds them to the rows of the padded input they are from."""
        (KH, KW), (_, rows, OW, B) = self.kernel_size, columns.shape
        columns = columns.reshape(self.C, KH, KW, rows, OW, B)
        for kh in range(KH):
            at = tap_positions(kh, rows, self.stride[0], self.dilation[0])
            for kw in range(KW):
                across = tap_positions(kw, self.OW, self.stride[1], self.dilation[1])
                slab[:, at, across] += columns[:, kh, kw]

    def inside(self, slab: Array) -> Array:
        """The padded input (C, H + PT + PB, W + PL + PR, B) without its padding."""
        top, _, left, _ = self.pad
        return slab[:, top : top + self.H, left : left + self.W]

    def blocks(self, share: Block, O: int, itemsize: int) -> Iterator[slice]:
        """The rows of a core's share, so many at a time that LONG_BYTES hold their columns, and
        what becomes of them."""
        rows, images = share
        row_bytes = max(self.K, O) * self.OW * (images.stop - images.start) * itemsize
        return blocks(rows.start, rows.stop, fitting(self.OH, row_bytes, LONG_BYTES))

    def work(self, O: int) -> float:
        """The nanoseconds that one core needs for the product: it multiplies 25 pairs in one."""
        return self.N * self.OH * self.OW * self.K * O / 25

    def for_each_share(self, run: Callable[[int, Block], Any], O: int) -> None:
        """Call `run(i, share)` for each core's share of the output."""
        all_shares = shares(self.OH, self.N)

        def fn(start: int, stop: int) -> None:
            for i in range(start, stop):
                run(i, all_shares[i])

        parallel(fn, len(all_shares), self.work(O), blas=True)


def _by_group(x: Array, groups: int) -> Array:
    """(C, ..., B) as (G, C/G, positions)."""
    return x.reshape(groups, len(x) // groups, -1)


def conv2d(
    x: Array, w: Array, b: Array | None, stride: Pair, pad: Pad, dilation: Pair, groups: int
) -> Array:
    """y = W @ columns + b: (N, C, H, W), (O, C/groups, KH, KW), (O,) -> (N, O, OH, OW)."""
    windows = _Windows(x.shape, w.shape[2:], stride, pad, dilation)
    y = empty_maps((len(x), len(w), windows.OH, windows.OW), x.dtype)
    W = _by_group(np.ascontiguousarray(w), groups)  # (G, O/G, K/G)
    bias = 0 if b is None else b[:, None, None, None]

    def run(_: int, share: Block) -> None:
        x_share, y_share = images_last(x)[..., share[1]], images_last(y)[..., share[1]]
        for rows in windows.blocks(share, len(w), x.itemsize):
            columns = _by_group(windows.columns(x_share, rows), groups)
            target = y_share[:, rows]
            product = memory.empty(target.shape, x.dtype)
            np.matmul(W, columns, out=_by_group(product, groups))
            np.add(product, bias, out=target)

    if x.size or y.size:
        windows.for_each_share(run, len(w))
    return y


def conv2d_backward_input(
    g: Array, w: Array, x_shape: tuple[int, ...], stride: Pair, pad: Pad, dilation: Pair,
    groups: int,
) -> Array:
    """gx = W^T @ g, added back to where the columns were read: (N, O, OH, OW) -> (N, C, H, W).

    At stride 1 that is a convolution, which needs no adding: `turned` explains it. But where g has
    more channels than x, it has more columns too, and where there are few positions, to turn many
    weights takes longer: then adding is cheaper.
    """
    (O, _, KH, KW), (N, C, H, W) = w.shape, x_shape
    reach = (span(KH, dilation[0]) - 1, span(KW, dilation[1]) - 1)
    flipped = (reach[0] - pad[0], reach[0] - pad[1], reach[1] - pad[2], reach[1] - pad[3])
    if stride == (1, 1) and min(flipped) >= 0 and O <= C <= N * H * W / 4:
        return conv2d(g, turned(w, groups), None, stride, flipped, dilation, groups)
    windows = _Windows(x_shape, (KH, KW), stride, pad, dilation)
    WT = _by_group(np.ascontiguousarray(w), groups).swapaxes(1, 2)  # (G, K/G, O/G)
    gx = empty_maps(x_shape, g.dtype)
    top, bottom, left, right = pad

    def run(start: int, stop: int) -> None:  # images, as rows of gx belong to several of g
        g_share, gx_share = images_last(g)[..., start:stop], images_last(gx)[..., start:stop]
        C, H, W, B = gx_share.shape  # where the pad below is negative, no window sees the last rows
        slab = memory.zeros((C, H + top + max(0, bottom), W + left + max(0, right), B), g.dtype)
        for rows in windows.blocks((slice(0, windows.OH), slice(start, stop)), O, g.itemsize):
            columns = memory.empty((windows.K, rows.stop - rows.start, windows.OW, B), g.dtype)
            G = _by_group(np.ascontiguousarray(g_share[:, rows]), groups)
            np.matmul(WT, G, out=_by_group(columns, groups))
            first, count = windows.seen(rows)
            windows.add_back(columns, slab[:, first : first + count])
        np.copyto(gx_share, windows.inside(slab))

    parallel(run, len(g), windows.work(O), blas=True)
    return gx


def turned(w: Array, groups: int) -> Array:
    """The weights that take g back to x at stride 1: w (O, C/G, KH, KW) -> (C, O/G, KH, KW).

    Input i received w[k] from output i - k + pad, so gx is g convolved with the window turned by
    180 degrees, padded by what is left of its reach: KH - 1 - pad.
    """
    O, per_group, KH, KW = w.shape
    by_group = w[:, :, ::-1, ::-1].reshape(groups, O // groups, per_group, KH, KW)
    return by_group.swapaxes(1, 2).reshape(groups * per_group, O // groups, KH, KW)


def conv2d_backward_weight(
    g: Array, x: Array, w_shape: tuple[int, ...], stride: Pair, pad: Pad, dilation: Pair,
    groups: int,
) -> Array:
    """gw = g @ columns^T, summed over the batch: (N, O, OH, OW), (N, C, H, W) -> w_shape."""
    windows = _Windows(x.shape, (w_shape[2], w_shape[3]), stride, pad, dilation)
    O = w_shape[0]
    parts = len(shares(windows.OH, windows.N))
    partial = memory.empty((parts, groups, O // groups, windows.K // groups), x.dtype)

    def run(i: int, share: Block) -> None:
        x_share, g_share = images_last(x)[..., share[1]], images_last(g)[..., share[1]]
        for rows in windows.blocks(share, O, x.itemsize):
            columns = _by_group(windows.columns(x_share, rows), groups)
            G = _by_group(g_share[:, rows], groups)
            if rows.start == share[0].start:
                np.matmul(G, columns.swapaxes(1, 2), out=partial[i])
            else:
                partial[i] += np.matmul(G, columns.swapaxes(1, 2))

    if not (x.size and g.size):
        return memory.zeros(w_shape, x.dtype)
    windows.for_each_share(run, O)
    gw = memory.empty(w_shape, x.dtype)
    np.sum(partial, 0, out=gw.reshape(partial.shape[1:]))  # in order: the same bits every time
    return gw


def unfold(x: Array, kernel_size: Pair, stride: Pair, pad: Pad, dilation: Pair) -> Array:
    """im2col: (N, C, H, W) -> (N, C*KH*KW, L)."""
    windows = _Windows(x.shape, kernel_size, stride, pad, dilation)
    N = len(x)
    everything = slice(0, windows.OH)
    out = memory.empty((N, windows.K, windows.OH, windows.OW), x.dtype)

    def run(start: int, stop: int) -> None:
        for n in range(start, stop):
            out[n] = windows.columns(images_last(x[n : n + 1]), everything)[..., 0]

    parallel(run, N, out.size)
    return out.reshape(N, windows.K, windows.OH * windows.OW)


def fold(
    columns: Array, x_shape: tuple[int, ...], kernel_size: Pair, stride: Pair, pad: Pad,
    dilation: Pair,
) -> Array:
    """col2im: (N, C*KH*KW, L) -> (N, C, H, W), overlapping windows summed."""
    windows = _Windows(x_shape, kernel_size, stride, pad, dilation)
    N, C, H, W = x_shape
    top, bottom, left, right = pad
    shaped = columns.reshape(N, windows.K, windows.OH, windows.OW, 1)
    gx = memory.empty(x_shape, columns.dtype)

    def run(start: int, stop: int) -> None:
        for n in range(start, stop):
            slab = memory.zeros((C, H + top + bottom, W + left + right, 1), columns.dtype)
            windows.add_back(shaped[n], slab)
            gx[n] = windows.inside(slab)[..., 0]

    parallel(run, N, columns.size)
    return gx
