"""Winograd's convolution: fewer multiplications for 3x3 and 5x5 kernels at stride 1.

F(m x m, r x r) computes a tile of m*m outputs from t*t inputs, t = m + r - 1, as

    Y = A^T [ (G w G^T) . (B^T x B) ] A        (. is elementwise; the three matrices are constant)

which multiplies t*t numbers where the sliding window multiplies m*m*r*r: 36 instead of 144 for
F(4x4, 3x3), 64 instead of 400 for F(4x4, 5x5). Summed over channels, each of the t*t products is a
matrix product (O, C) @ (C, tiles), so BLAS still does the work. The gradient of the weights is a
convolution too, of x with tiles of g for kernels and the r*r weights for outputs: F(r x r, m x m).

The larger a tile, the fewer products, but the more its last hang over the edge of a small map, and
the more weights there are; a cost says which m is best. The price is rounding: the error's norm
over the result's, for sums over 256 channels in float32, is at most (and in float64 2^-29 of it)

    m            2      3      4        5        6
    r = 3      7e-7   2e-6   2.5e-6   5.5e-6   7e-6
    r = 5      3e-6     -     7e-6      -        -       beside 1e-6 of `im2col.py`

The transforms cost as much time as the products, by bytes more than by arithmetic: hence one
direction of the tiles after the other, a few channels at a time, that stay in cache.

Sources: Winograd (1980); Lavin and Gray (2016), arXiv:1509.09308; the points are Barabasz et al.'s
(2018), arXiv:1803.10986.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from math import isqrt, prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from minigrad.kernels.cpu import layout, memory
from minigrad.kernels.cpu.cores import parallel, ranges
from minigrad.kernels.cpu.layout import LONG_RUN, Block, blocks, empty_maps, fitting, images_last
from minigrad.kernels.cpu.matmul import matmul
from minigrad.kernels.geometry import Pad, output_shape

Array = np.ndarray

HALF = Fraction(1, 2)
POINTS = {  # by t; chosen for small errors
    4: (0, 1, -1), 5: (0, 1, -1, 2), 6: (0, 1, -1, HALF, -2), 7: (0, 1, -1, 2, -2, HALF),
    8: (0, 1, -1, 2, -2, HALF, -HALF),
}  # fmt: skip
TILES = {3: (2, 3, 4, 5, 6), 5: (2, 4)}  # m, the side of an output tile, by r, the kernel's
MOST_BYTES = 1 << 26  # of transformed tiles at a time
ROOM = 2 * layout.L2_BYTES  # for a block of channels, whose arrays are used one after the other


@cache
def cook_toom(m: int, r: int) -> tuple[Array, Array, Array]:
    """The matrices A^T (m, t), G (t, r) and B^T (t, t) of F(m, r), in float64.

    Cook and Toom multiply two polynomials by evaluating both at t - 1 points and "at infinity",
    multiplying the values and interpolating. The transpose of that algorithm is a convolution:
    A evaluates, G evaluates and divides by the Lagrange denominators, B holds the coefficients of
    the Lagrange numerators. Computed over the rationals, so that every entry is exact.
    """
    points = [Fraction(p) for p in POINTS[m + r - 1]]
    evaluate = [[p**i for p in points] + [Fraction(i == m - 1)] for i in range(m)]
    scaled = [
        [p**k / prod((p - q for q in points if q != p), start=Fraction(1)) for k in range(r)]
        for p in points
    ]
    numerators = [[*_polynomial([q for q in points if q != p]), Fraction(0)] for p in points]
    at_infinity = [Fraction(k == r - 1) for k in range(r)]
    return (
        np.array(evaluate, np.float64),
        np.array([*scaled, at_infinity], np.float64),
        np.array([*numerators, _polynomial(points)], np.float64),
    )


def cost(shape: tuple[int, ...], w_shape: tuple[int, ...], groups: int) -> float:
    """About how many nanoseconds one core needs for maps of `shape`, with the best tiles."""
    return _best(shape, w_shape, groups)[0]


def _best(shape: tuple[int, ...], w_shape: tuple[int, ...], groups: int) -> tuple[float, int]:
    """The least cost, and its m. As in `im2col.cost`, and for each number of a tile that is
    transformed 1.5 and its part of the 10 to begin a run, 1.3 for one of the weights, and 0.1 ms
    for the calls."""
    N, (O, C, r, _) = shape[0], w_shape

    def of(m: int) -> float:
        TH, TW = tiles(shape, m)
        a_tile = 0.02 * C * O + (1.5 + 10 / max(1, N * TW)) * (groups * C + O)
        return (m + r - 1) ** 2 * (N * TH * TW * a_tile + 1.3 * C * O) + 1e5

    return min((of(m), m) for m in TILES[r])


def tiles(shape: tuple[int, ...], m: int) -> tuple[int, int]:
    """(TH, TW): output tiles down and across maps of `shape`; the last may hang over."""
    return -(-shape[2] // m), -(-shape[3] // m)


def _polynomial(roots: list[Fraction]) -> list[Fraction]:
    """The coefficients of the product of (x - root), lowest power first."""
    zero, coefficients = Fraction(0), [Fraction(1)]
    for root in roots:
        shifted, scaled = [zero, *coefficients], [*coefficients, zero]
        coefficients = [a - root * b for a, b in zip(shifted, scaled, strict=True)]
    return coefficients


def conv2d(x: Array, w: Array, b: Array | None, pad: Pad, groups: int) -> Array:
    """`reference.conv2d` for a 3x3 or 5x5 kernel, stride 1, dilation 1."""
    y_shape = len(x), len(w), *output_shape(x.shape, w.shape[2:], (1, 1), pad, (1, 1))
    m = _best(y_shape, w.shape, groups)[1]
    _, G, _ = _matrices(x.dtype, m, w.shape[3])
    return _convolve(x, _weights(w, G, groups), y_shape, b, pad, m)


def conv2d_backward_input(
    g: Array, w: Array, x_shape: tuple[int, ...], pad: Pad, groups: int
) -> Array:
    """`reference.conv2d_backward_input`: a convolution of g with the windows turned by 180 degrees
    (their taps in reverse), input and output channels changing places."""
    r, m = w.shape[3], _best(x_shape, w.shape, groups)[1]
    _, G, _ = _matrices(g.dtype, m, r)
    turned = _weights(w, G[:, ::-1], groups).swapaxes(2, 3)
    top, bottom, left, right = (r - 1 - side for side in pad)
    return _convolve(g, turned, x_shape, None, (top, bottom, left, right), m)


@cache
def _matrices(dtype: Any, m: int, r: int) -> tuple[Array, ...]:
    """A^T, G and B^T of F(m, r)."""
    return tuple(M.astype(dtype) for M in cook_toom(m, r))


def _weights(w: Array, G: Array, groups: int) -> Array:
    """U = G w G^T of every kernel: (O, C/groups, r, r) -> (t*t, groups, O/groups, C/groups)."""
    (O, C, r, _), (t, _) = w.shape, G.shape
    U, square = memory.empty((O, t * t, C), w.dtype), np.kron(G, G)

    def run(start: int, stop: int) -> None:
        for block in blocks(start, stop, fitting(O, (r * r + t * t) * C * w.itemsize)):
            kernels = memory.empty((block.stop - block.start, r * r, C), w.dtype)
            np.copyto(kernels, w[block].reshape(-1, C, r * r).swapaxes(1, 2))
            np.matmul(square, kernels, out=U[block])

    parallel(run, O, U.size, blas=True)
    return U.swapaxes(0, 1).reshape(t * t, groups, O // groups, C)


def _convolve(
    x: Array, U: Array, y_shape: tuple[int, ...], b: Array | None, pad: Pad, m: int
) -> Array:
    """y of x (N, C, H, W) and transformed weights U (t*t, groups, O/G, C/G) by tiles of m x m."""
    elements, groups, per_group, C = U.shape
    O, y = groups * per_group, empty_maps(y_shape, x.dtype)
    A, _, B = _matrices(x.dtype, m, isqrt(elements) - m + 1)
    TW = tiles(y.shape, m)[1]
    for rows, images in _chunks(y, m, elements * (groups * C + O)):
        V = _transformed_tiles(B, images_last(x)[..., images], m, rows, TW, pad)
        M = _products(U, V.reshape(elements, groups, C, -1))  # (t*t, groups, O/G, P)
        del V  # no piece lives on while the next is made: these are the largest arrays of a step
        _place(A, M.reshape(elements, O, -1), b, rows, images_last(y)[..., images])
        del M
    return y


def _chunks(y: Array, m: int, numbers_a_tile: int) -> list[Block]:
    """The (rows of tiles, images) of y to transform at a time: all, if MOST_BYTES hold them."""
    TH, TW = tiles(y.shape, m)
    most = max(1, MOST_BYTES // (numbers_a_tile * TW * y.itemsize))  # rows of tiles x images
    images = _slices(len(y), max(most, LONG_RUN))
    rows = _slices(TH, most // max(1, images[0].stop) if images else 1)
    return [(i, j) for j in images for i in rows]


def _slices(n: int, most: int) -> list[slice]:
    """0..n-1 in slices of at most `most`, as even as can be."""
    return [slice(*part) for part in ranges(n, -(-n // max(1, most)))]


def _transformed_tiles(matrix: Array, x: Array, m: int, rows: slice, TW: int, pad: Pad) -> Array:
    """matrix X matrix^T of the k*k tiles X of x (C, H, W, B), m apart: (t*t, C, P), for a matrix
    (t, k). Along rows first, for all rows of x at once: a product for each tile, where images are
    many, else one for all, for which what tap k sees is put side by side.

    Cores take channels, so many at a time that they stay in cache.
    """
    (C, _, _, B), TH, (t, k) = x.shape, rows.stop - rows.start, matrix.shape
    top, left, height, width = pad[0] - m * rows.start, pad[2], m * (TH - 1) + k, m * (TW - 1) + k
    out = memory.empty((t, t, C, TH, TW * B), x.dtype)
    nbytes = ((k if B < LONG_RUN else m) + t) * height * TW * B * x.itemsize

    def run(start: int, stop: int) -> None:
        for block in blocks(start, stop, fitting(C, nbytes, ROOM)):
            seen = layout.region(x[block], top, left, height, width)
            c, h, w, n = seen.strides
            windows = as_strided(seen, (len(seen), height, TW, k, B), (c, h, m * w, w, n))
            across = memory.empty((len(seen), t, height, TW, B), x.dtype)
            if B < LONG_RUN:  # a product for each tile would be too small
                taps = memory.empty((len(seen), k, height, TW, B), x.dtype)
                layout.copy_runs(taps, windows.transpose(0, 3, 1, 2, 4))
                flat = len(seen), -1, height * TW * B
                np.matmul(matrix, taps.reshape(flat), out=across.reshape(flat))
            else:
                np.matmul(matrix, windows, out=across.transpose(0, 2, 3, 1, 4))
            c, w, h, _, n = across.strides
            columns = as_strided(across, (len(seen), t, TH, k, TW * B), (c, w, h * m, h, n))
            np.matmul(matrix, columns, out=out[:, :, block].transpose(2, 1, 3, 0, 4))

    parallel(run, C, out.size, blas=True)
    return out.reshape(t * t, C, -1)


def _products(a: Array, b: Array) -> Array:
    """a @ b for each of the t*t elements, of which cores take some."""
    out = memory.empty((*a.shape[:-1], b.shape[-1]), a.dtype)
    work = out.size * a.shape[-1] / 25
    parallel(lambda i, j: np.matmul(a[i:j], b[i:j], out=out[i:j]), len(a), work, blas=True)
    return out


def _place(A: Array, M: Array, b: Array | None, rows: slice, y: Array) -> None:
    """y (O, OH, OW, B) at `rows` of tiles = A^T M A for M (t*t, O, P), plus b (O,)."""
    _, OH, OW, B = y.shape
    (m, t), P = A.shape, M.shape[2]
    TH, TW = rows.stop - rows.start, -(-OW // m)
    by_channel = M.reshape(t, t, -1, P).transpose(2, 1, 0, 3)

    def run(start: int, stop: int) -> None:
        for block in blocks(start, stop, fitting(len(y), (t + m) * m * P * y.itemsize, ROOM)):
            count = block.stop - block.start
            down = memory.empty((count, t, m, P), y.dtype)
            np.matmul(A, by_channel[block], out=down)
            each = down.reshape(count, t, m, TH, TW, B).transpose(0, 3, 2, 4, 1, 5)
            if B < LONG_RUN:  # a product for each tile would be too small
                Y = memory.empty((count, m, m * P), y.dtype)
                np.matmul(A, down.reshape(count, t, -1), out=Y)
                each = Y.reshape(count, m, m, TH, TW, B).transpose(0, 3, 2, 4, 1, 5)
            for th, h, p in _whole_and_rest(rows, OH, m):
                for tw, w, q in _whole_and_rest(slice(0, TW), OW, m):
                    target = y[block, h, w].reshape(count, -1, p, tw.stop - tw.start, q, B)
                    if B < LONG_RUN:
                        layout.copy_runs(target, each[:, th, :p, tw, :q])
                    else:
                        np.matmul(A[:q], each[:, th, :p, tw], out=target)
            if b is not None:
                y[block, m * rows.start : m * rows.stop] += b[block, None, None, None]

    parallel(run, len(y), M.size, blas=True)


def _whole_and_rest(tiles: slice, size: int, m: int) -> Iterator[tuple[slice, slice, int]]:
    """(tiles counted from the first, their pixels, pixels of each) of the tiles that lie within
    `size`, and of the last, if it hangs over."""
    whole, first, stop = size // m, tiles.start, min(tiles.stop * m, size)
    count = min(tiles.stop, whole) - first
    if count > 0:
        yield slice(0, count), slice(first * m, (first + count) * m), m
    if stop % m:
        yield slice(whole - first, whole - first + 1), slice(whole * m, stop), stop % m


def conv2d_backward_weight(
    g: Array, x: Array, w_shape: tuple[int, ...], pad: Pad, groups: int
) -> Array:
    """`reference.conv2d_backward_weight` for a 3x3 or 5x5 kernel, stride 1, dilation 1.

    Each 4x4 tile of g is a kernel that slides over the t*t tile of x it came from; what it gives
    are its r*r contributions to the weights, and all tiles are summed before the last transform.
    """
    O, per_group, r, _ = w_shape
    m = _best(g.shape, w_shape, groups)[1]
    A, G, B = _matrices(x.dtype, r, m)
    elements, TW = len(B) ** 2, tiles(g.shape, m)[1]
    total = None
    for rows, images in _chunks(g, m, elements * (x.shape[1] + O)):
        V = _transformed_tiles(B, images_last(x)[..., images], m, rows, TW, pad)
        D = _transformed_tiles(G, images_last(g)[..., images], m, rows, TW, (0, 0, 0, 0))
        V = V.reshape(elements, groups, per_group, -1).swapaxes(2, 3)
        product = _products(D.reshape(elements, groups, O // groups, -1), V)  # sums over the tiles
        del V, D
        total = product if total is None else np.add(total, product, out=total)
    if total is None:  # no images
        return memory.zeros(w_shape, x.dtype)
    contributions = total.reshape(elements, O, per_group).transpose(1, 2, 0)
    return matmul(contributions, np.kron(A, A).T).reshape(w_shape)
