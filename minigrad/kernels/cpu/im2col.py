"""Convolution as a matrix product: the windows of a few rows as columns, times the weights.

    columns (C*KH*KW, L*B)    y = W @ columns        gW = g @ columns^T      gcolumns = W^T @ g

for L of the OH*OW positions of B images: some rows of the output at a time, a few megabytes of
columns. Images are innermost (see `layout.py`), so a tap of all those windows is one strided
view of the input, all taps are one view of six axes, and a single copy makes the columns. They
never exist for the whole batch: for AlexNet's second layer they would be 25 times the input.

Where rows are long, only the KW taps beside each other are copied: what a row of the output sees
are then KH neighbours of the array (H, C, KW, OW, B), in one piece, so that its columns are a view
and overlap with the next row's. `kernels/reference/conv.py` has the same functions as plain loops.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import as_strided

from minigrad.kernels.cpu import memory
from minigrad.kernels.cpu.cores import parallel, shares
from minigrad.kernels.cpu.layout import Block, empty_maps, images_last, region
from minigrad.kernels.cpu.workers import Range
from minigrad.kernels.geometry import Pad, Pair, output_shape, span, tap_positions

Array = np.ndarray

BLOCK = 3 << 19  # numbers of the columns, and of what becomes of them, at a time
LEAST_COLUMNS = 512  # in fewer BLAS is slow, as it reads all weights for each product
SMALL = 1_000_000  # multiplications up to which OpenBLAS, with AVX-512, packs nothing
PIECE, PIECE_OF_GRADIENT = 96, 256  # columns at least that are worth a small product of their own


def cost(shape: tuple[int, ...], w_shape: tuple[int, ...], groups: int) -> float:
    """About how many nanoseconds one core needs for maps of `shape`, measured on AlexNet, VGG and
    ResNet layers: 0.02 to multiply and add, 1 to copy a number to the columns, where BLAS packs it
    once more."""
    (N, _, OH, OW), (O, C, KH, KW) = shape, w_shape
    return N * OH * OW * groups * C * KH * KW * (0.02 * O / groups + 1)


class _Windows:
    """Where the windows of one convolution lie: reads them into columns, adds columns back."""

    def __init__(
        self, x_shape: tuple[int, ...], kernel_size: Pair, stride: Pair, pad: Pad, dilation: Pair,
        O: int = 0, groups: int = 1,
    ) -> None:
        self.N, self.C, self.H, self.W = x_shape
        self.kernel_size, self.stride, self.pad, self.dilation = kernel_size, stride, pad, dilation
        self.OH, self.OW = output_shape(x_shape, kernel_size, stride, pad, dilation)
        self.taps = kernel_size[0] * kernel_size[1]
        self.K, self.positions = self.C * self.taps, self.OH * self.OW
        self.O, self.groups, row = O, groups, self.N * self.OW
        long = row >= LEAST_COLUMNS or row >= 32 and row * self.K * O <= SMALL
        possible = O > 0 and kernel_size[0] > 1 and groups == dilation[0] == 1
        self.by_row = possible and long and not self.few  # each row of the output has its matrix

    @property
    def few(self) -> bool:
        """Whether cores take channels: the positions are too few, beside the weights or to share
        evenly."""
        return self.groups == 1 and (self.N * self.positions < self.O or self.positions < 8)

    def seen(self, rows: slice) -> tuple[int, int]:
        """(first, count): the rows of the padded input that these rows of the output look at."""
        count = (rows.stop - rows.start - 1) * self.stride[0]
        return rows.start * self.stride[0], count + span(self.kernel_size[0], self.dilation[0])

    def columns(self, x: Array, rows: slice, across: slice, n: int = 1) -> Array:
        """The windows of these rows, or of a part of one, in x (C, H, W, B), as `matrices`."""
        (SH, SW), (DH, DW) = self.stride, self.dilation
        first, count = self.seen(rows)
        top, _, left, right = self.pad
        slab = region(x, top - first, left, count, left + self.W + right)[:, :, across.start * SW :]
        c, h, w, b = slab.strides
        count_out, OW, B = rows.stop - rows.start, across.stop - across.start, x.shape[3]
        if self.by_row:
            taps = memory.empty((count, len(x), self.kernel_size[1], OW, B), x.dtype)
            np.copyto(taps, as_strided(slab, taps.shape, (h, c, w * DW, w * SW, b)))
            (row, _, tap, _, item), shape = taps.strides, (count_out, 1, n, self.K, OW * B // n)
            return as_strided(taps, shape, (row * SH, 0, tap // n, tap, item))
        axes = (len(x), *self.kernel_size, count_out, OW, B)
        view = as_strided(slab, axes, (c, h * DH, w * DW, h * SH, w * SW, b))
        if self.kernel_size == self.stride == (1, 1):  # the columns are the image
            return self.matrices(view[:, 0, 0], n)
        columns = memory.empty(view.shape, x.dtype)
        np.copyto(columns, view)
        return self.matrices(columns.reshape(len(x) * self.taps, count_out, OW, B), n)

    def matrices(self, maps: Array, n: int) -> Array:
        """(C, rows, part of OW, B) in n pieces: (rows, 1, n, C, columns), or where rows have no
        matrices of their own, (1, G, n, C/G, columns)."""
        if self.by_row:
            return maps.reshape(*maps.shape[:2], n, -1).transpose(1, 2, 0, 3)[:, None]
        return maps.reshape(1, self.groups, len(maps) // self.groups, n, -1).swapaxes(2, 3)

    def pieces(self, rows: slice, across: slice, least: int) -> int:
        """The n for `matrices`: into how many pieces of at least so many columns to split a product
        to make it SMALL; 1 where it cannot be.

        OpenBLAS multiplies small matrices where they lie. Larger ones it copies first, which takes
        half of the time where one of them has few rows.
        """
        P = self.N * (across.stop - across.start) * (1 if self.by_row else rows.stop - rows.start)
        numbers = self.K * self.O // self.groups**2  # a column
        if P * numbers <= SMALL:
            return 1
        fewest = -(-P // max(1, min(LEAST_COLUMNS, SMALL // numbers)))
        return next((n for n in range(fewest, P // least + 1) if P % n == 0), 1)

    def add_back(self, columns: Array, slab: Array) -> None:
        """The adjoint of `columns`, of whole rows: adds them to the rows of the padded input."""
        (KH, KW), (_, rows, OW, B) = self.kernel_size, columns.shape
        columns = columns.reshape(len(slab), KH, KW, rows, OW, B)
        for kh in range(KH):
            at = tap_positions(kh, rows, self.stride[0], self.dilation[0])
            for kw in range(KW):
                across = tap_positions(kw, self.OW, self.stride[1], self.dilation[1])
                slab[:, at, across] += columns[:, kh, kw]

    def inside(self, slab: Array) -> Array:
        """The padded input (C, H + PT + PB, W + PL + PR, B) without its padding."""
        top, _, left, _ = self.pad
        return slab[:, top : top + self.H, left : left + self.W]

    def blocks(self, start: int, stop: int, O: int, whole: bool = False) -> Iterator[Block]:
        """Positions start..stop-1 as (rows, part of OW), BLOCK numbers at a time: whole rows, and
        where the range cuts one or it is too long, a part; with `whole`, never a part."""
        least = self.OW if whole else -(-LEAST_COLUMNS // max(1, self.N))
        K = self.K // self.kernel_size[0] if self.by_row else self.K
        most = max(least, BLOCK // ((K + O) * max(1, self.N)))
        while start < stop:
            row, first = divmod(start, self.OW)
            count = min(stop - start, most)
            rows = 0 if first else count // self.OW
            last = self.OW if rows else min(self.OW, first + count)
            yield slice(row, row + max(1, rows)), slice(first, last)
            start = (row + max(1, rows) - 1) * self.OW + last

    def by_tap(self, w: Array) -> Array:
        """The weights (O, C/G, KH, KW) with the axes in the order of the columns' rows: a view."""
        return w.swapaxes(1, 2) if self.by_row else w

    def work(self, O: int) -> float:
        """The nanoseconds that one core needs for the product: in one it multiplies 25 pairs, or
        reads two of the weights."""
        return (self.N * self.positions + 12) * self.K * O / 25


def _by_group(x: Array, groups: int) -> Array:
    """(C, ..., B) as (G, C/G, positions)."""
    return x.reshape(groups, len(x) // groups, -1)


def conv2d(
    x: Array, w: Array, b: Array | None, stride: Pair, pad: Pad, dilation: Pair, groups: int
) -> Array:
    """y = W @ columns + b: (N, C, H, W), (O, C/groups, KH, KW), (O,) -> (N, O, OH, OW).

    Cores take positions, or where these are few, channels of x, for which each makes its columns.
    """
    O, C = len(w), x.shape[1]
    windows = _Windows(x.shape, w.shape[2:], stride, pad, dilation, O, groups)
    y = empty_maps((len(x), O, windows.OH, windows.OW), x.dtype)
    W = _by_group(np.ascontiguousarray(windows.by_tap(w)), groups)[:, None]  # (G, 1, O/G, K/G)
    parts = shares(C, windows.work(O)) if windows.few else []
    sums = images_last(y)[None]
    if len(parts) > 1:
        sums = memory.empty((len(parts), *sums.shape[1:]), x.dtype)

    def run(start: int, stop: int) -> None:
        positions = (0, windows.positions) if parts else (start, stop)
        for part in range(start, stop) if parts else [0]:
            first, last = parts[part] if parts else (0, C)
            weights = W[..., first * windows.taps : last * windows.taps]
            for rows, across in windows.blocks(*positions, O):
                n, target = windows.pieces(rows, across, PIECE), sums[part][:, rows, across]
                columns = windows.columns(images_last(x)[first:last], rows, across, n)
                np.matmul(weights, columns, out=windows.matrices(target, n))
                if b is not None and part == 0:
                    target += b[:, None, None, None]

    if x.size or y.size:
        parallel(run, len(parts) or windows.positions, windows.work(O), blas=True)
    if len(parts) > 1:
        np.sum(sums, 0, out=images_last(y))  # in order: the same bits every time
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
    WT = w.reshape(groups, O // groups, -1).swapaxes(1, 2)  # (G, K/G, O/G)
    gx = empty_maps(x_shape, g.dtype)
    top, bottom, left, right = pad

    units = groups if groups > 1 else C
    by_image = units < min(N, 8)  # too few channels or groups to share evenly

    def run(start: int, stop: int) -> None:
        part, weights, g_part, target = slice(start, stop), WT, images_last(g), images_last(gx)
        if by_image:
            g_part, target = g_part[..., part], target[..., part]
        elif groups > 1:
            weights, target = WT[part], target[C // groups * start : C // groups * stop]
            g_part = g_part[O // groups * start : O // groups * stop]
        else:
            weights, target = WT[:, KH * KW * start : KH * KW * stop], target[part]
        channels, *_, B = target.shape
        # Where the pad below is negative, no window sees the last rows.
        padded = (channels, H + top + max(0, bottom), W + left + max(0, right), B)
        slab = memory.zeros(padded, g.dtype)
        for rows, _ in windows.blocks(0, windows.positions, O, whole=True):
            G = _by_group(g_part[:, rows], len(weights))
            shape = (channels * KH * KW, rows.stop - rows.start, windows.OW, B)
            columns = memory.empty(shape, g.dtype)
            np.matmul(weights, G, out=_by_group(columns, len(weights)))
            first, count = windows.seen(rows)
            windows.add_back(columns, slab[:, first : first + count])
        np.copyto(target, windows.inside(slab))

    if gx.size:
        parallel(run, N if by_image else units, windows.work(O), blas=True)
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
    (O, _, KH, KW), gw = w_shape, memory.empty(w_shape, x.dtype)
    windows = _Windows(x.shape, (KH, KW), stride, pad, dilation, O, groups)
    if not (x.size and g.size):
        gw.fill(0)
        return gw

    def add_up(positions: Range, channels: slice, out: Array) -> None:
        """out (G, O/G, K/G) = g @ columns^T over these positions."""
        first = True
        if windows.K > O:  # BLAS is faster with the longer side first
            out = out.swapaxes(1, 2)
        for rows, across in windows.blocks(*positions, O):
            n = windows.pieces(rows, across, PIECE_OF_GRADIENT)
            a = windows.matrices(images_last(g)[:, rows, across], n)
            b = windows.columns(images_last(x)[channels], rows, across, n)
            if windows.K > O:
                a, b = b, a
            if alone := len(a) == n == 1:
                b, target = b[0, :, 0].swapaxes(1, 2), out if first else None
                total = np.matmul(a[0, :, 0], b, out=target)
            else:
                total = np.matmul(a, b.swapaxes(3, 4)).sum((0, 2))
            if not first:
                out += total
            elif not alone:
                out[...] = total
            first = False

    def by_channel(start: int, stop: int) -> None:
        target = gw[:, start:stop].reshape(1, O, -1)
        add_up((0, windows.positions), slice(start, stop), target)

    if windows.few:
        parallel(by_channel, windows.C, windows.work(O), blas=True)
        return gw
    parts = shares(windows.positions, windows.work(O))
    partial = memory.empty((len(parts), *_by_group(gw, groups).shape), x.dtype)  # (.., O/G, K/G)
    if windows.K > O:  # BLAS gives it to us that way
        partial = partial.reshape(*partial.shape[:2], -1, O // groups).swapaxes(2, 3)

    def by_position(start: int, stop: int) -> None:
        for i in range(start, stop):
            add_up(parts[i], slice(None), partial[i])

    parallel(by_position, len(parts), windows.work(O), blas=True)
    target = windows.by_tap(gw)  # summed up in order: the same bits every time
    np.sum(partial.reshape(-1, *target.shape), 0, out=target)
    return gw


def unfold(x: Array, kernel_size: Pair, stride: Pair, pad: Pad, dilation: Pair) -> Array:
    """im2col: (N, C, H, W) -> (N, C*KH*KW, L)."""
    windows = _Windows(x.shape, kernel_size, stride, pad, dilation)
    N = len(x)
    everything = slice(0, windows.OH), slice(0, windows.OW)
    out = memory.empty((N, windows.K, windows.OH, windows.OW), x.dtype)

    def run(start: int, stop: int) -> None:
        for n in range(start, stop):
            columns = windows.columns(images_last(x[n : n + 1]), *everything)
            out[n] = columns.reshape(out.shape[1:])

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
