"""Winograd's convolution: fewer multiplications for 3x3 and 5x5 kernels at stride 1.

F(m x m, r x r) computes a tile of m*m outputs from t*t inputs, t = m + r - 1, as

    Y = A^T [ (G w G^T) . (B^T x B) ] A        (. is elementwise; the three matrices are constant)

which multiplies t*t numbers where the sliding window multiplies m*m*r*r: 36 instead of 144 for
F(4x4, 3x3), 64 instead of 400 for F(4x4, 5x5). Summed over channels, each of the t*t products is a
matrix product (O, C) @ (C, tiles), so BLAS still does the work. The gradient of the weights is a
convolution too, of x with tiles of g for kernels and the r*r weights for outputs: F(r x r, 4 x 4).
The price is rounding: errors are about 6 (3x3) and 10 to 20 (5x5) times those of `im2col.py`, that
is 2e-6 and 3e-6 to 6e-6 of the result's norm in float32.

Sources: Winograd (1980); Lavin and Gray (2016), arXiv:1509.09308; the points are Barabasz et al.'s
(2018), arXiv:1803.10986.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache
from math import prod

import numpy as np
from numpy.lib.stride_tricks import as_strided

from minigrad.kernels.cpu import memory
from minigrad.kernels.cpu.im2col import turned
from minigrad.kernels.cpu.layout import (
    LONG_RUN,
    Block,
    blocks,
    empty_maps,
    fitting,
    images_last,
    region,
)
from minigrad.kernels.cpu.matmul import matmul
from minigrad.kernels.cpu.threads import parallel
from minigrad.kernels.geometry import Pad

Array = np.ndarray

TILE = 4  # m, the side of an output tile
HALF = Fraction(1, 2)
POINTS = {6: (0, 1, -1, HALF, -2), 8: (0, 1, -1, 2, -2, HALF, -HALF)}  # by t; small errors
KERNELS = tuple(t - TILE + 1 for t in POINTS)  # r: the sizes of kernels that this file can do
MOST_BYTES = 1 << 26  # of transformed tiles at a time


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


def tiles(OH: int, OW: int) -> int:
    """How many output tiles cover a map; those at the edges may hang over."""
    return -(-OH // TILE) * -(-OW // TILE)


def _polynomial(roots: list[Fraction]) -> list[Fraction]:
    """The coefficients of the product of (x - root), lowest power first."""
    zero, coefficients = Fraction(0), [Fraction(1)]
    for root in roots:
        shifted, scaled = [zero, *coefficients], [*coefficients, zero]
        coefficients = [a - root * b for a, b in zip(shifted, scaled, strict=True)]
    return coefficients


def conv2d(x: Array, w: Array, b: Array | None, pad: Pad, groups: int) -> Array:
    """`reference.conv2d` for a 3x3 or 5x5 kernel, stride 1, dilation 1."""
    (N, C, H, W), (O, _, r, _) = x.shape, w.shape
    t = TILE + r - 1
    top, bottom, left, right = pad
    y = empty_maps((N, O, H + top + bottom - r + 1, W + left + right - r + 1), x.dtype)
    # Two-dimensional transforms are the Kronecker squares of the one-dimensional ones.
    AA, GG, BB = (np.kron(M, M).astype(x.dtype) for M in cook_toom(TILE, r))
    U = matmul(GG, w.reshape(-1, r * r).T).reshape(t * t, groups, O // groups, C // groups)
    for rows, images in _chunks(y, t * t * (C + O)):
        V = _transformed_tiles(BB, images_last(x)[..., images], rows, _tiles(y)[1], pad)
        V = V.reshape(t * t, groups, C // groups, -1)
        M = _products(U, V)  # (t*t, G, O/G, tiles)
        _place(AA, M.reshape(t * t, O, -1), b, rows, images_last(y)[..., images])
    return y


def _tiles(y: Array) -> tuple[int, int]:
    """(TH, TW): tiles down and across; the last may hang over."""
    return -(-y.shape[2] // TILE), -(-y.shape[3] // TILE)


def _chunks(y: Array, numbers_a_tile: int) -> list[Block]:
    """The (rows of tiles, images) of y to transform at a time: all, if MOST_BYTES hold them."""
    TH, TW = _tiles(y)
    most = max(1, MOST_BYTES // (numbers_a_tile * TW * y.itemsize))  # rows of tiles x images
    images = max(1, min(len(y), max(most, LONG_RUN)))
    rows = max(1, most // images)
    return [(i, j) for j in blocks(0, len(y), images) for i in blocks(0, TH, rows)]


def _transformed_tiles(matrix: Array, x: Array, rows: slice, TW: int, pad: Pad) -> Array:
    """`matrix` (t*t, k*k) applied to the k*k tiles of x (C, H, W, B), 4 apart: (t*t, C, tiles).

    Threads take channels, and some of them at a time, so that their tiles stay in cache.
    """
    C, B, TH = len(x), x.shape[3], rows.stop - rows.start
    k, tiles = math.isqrt(matrix.shape[1]), TH * TW * B
    height, width = TILE * (TH - 1) + k, TILE * (TW - 1) + k
    out = memory.empty((len(matrix), C * tiles), x.dtype)

    def run(start: int, stop: int) -> None:
        for block in blocks(start, stop, fitting(C, 2 * k * k * tiles * x.itemsize)):
            count = block.stop - block.start
            slab = region(x[block], pad[0] - TILE * rows.start, pad[2], height, width)
            c, h, w, n = slab.strides
            shape = (k, k, count, TH, TW, B)
            view = as_strided(slab, shape, (h, w, c, h * TILE, w * TILE, n))
            copy = memory.empty(shape, x.dtype)
            np.copyto(copy, view)
            target = out[:, block.start * tiles : block.stop * tiles]
            np.matmul(matrix, copy.reshape(k * k, -1), out=target)

    parallel(run, C, out.size, blas=True)
    return out.reshape(len(matrix), C, tiles)


def _products(a: Array, b: Array) -> Array:
    """a @ b for each of the t*t elements, of which threads take some."""
    out = memory.empty((*a.shape[:-1], b.shape[-1]), a.dtype)
    work = out.size * a.shape[-1] / 25
    parallel(lambda i, j: np.matmul(a[i:j], b[i:j], out=out[i:j]), len(a), work, blas=True)
    return out


def _place(AA: Array, M: Array, b: Array | None, rows: slice, y: Array) -> None:
    """y (O, OH, OW, B) at `rows` of tiles = A^T M A for M (t*t, O, tiles), plus b (O,)."""
    _, OH, OW, B = y.shape
    TH, TW = rows.stop - rows.start, -(-OW // TILE)

    def run(start: int, stop: int) -> None:
        for block in blocks(start, stop, fitting(len(y), 2 * len(M) * M[0, 0].nbytes)):
            part = M[:, block].reshape(len(M), -1)
            Y = memory.empty((TILE * TILE, part.shape[1]), y.dtype)
            np.matmul(AA, part, out=Y)
            Y = Y.reshape(TILE, TILE, -1, TH, TW, B)
            bias = 0 if b is None else b[block, None, None, None]
            for p in range(TILE):
                for q in range(TILE):
                    target = y[block, TILE * rows.start + p : TILE * rows.stop : TILE, q::TILE]
                    h, w = target.shape[1:3]  # less than TH, TW where the last tile hangs over
                    np.add(Y[p, q, :, :h, :w], bias, out=target)

    parallel(run, len(y), M.size, blas=True)


def conv2d_backward_input(g: Array, w: Array, pad: Pad, groups: int) -> Array:
    """`reference.conv2d_backward_input`: a convolution with the turned weights."""
    reach = len(w[0, 0]) - 1
    top, bottom, left, right = (reach - side for side in pad)
    return conv2d(g, turned(w, groups), None, (top, bottom, left, right), groups)


def conv2d_backward_weight(
    g: Array, x: Array, w_shape: tuple[int, ...], pad: Pad, groups: int
) -> Array:
    """`reference.conv2d_backward_weight` for a 3x3 or 5x5 kernel, stride 1, dilation 1.

    Each 4x4 tile of g is a kernel that slides over the t*t tile of x it came from; what it gives
    are its r*r contributions to the weights, and all tiles are summed before the last transform.
    """
    O, per_group, r, _ = w_shape
    t = TILE + r - 1
    AA, GG, BB = (np.kron(M, M).astype(x.dtype) for M in cook_toom(r, TILE))
    TW = _tiles(g)[1]
    total = memory.zeros((t * t, groups, O // groups, per_group), x.dtype)
    for rows, images in _chunks(g, t * t * (x.shape[1] + O)):
        V = _transformed_tiles(BB, images_last(x)[..., images], rows, TW, pad)
        D = _transformed_tiles(GG, images_last(g)[..., images], rows, TW, (0, 0, 0, 0))
        V = V.reshape(t * t, groups, per_group, -1).swapaxes(2, 3)
        D = D.reshape(t * t, groups, O // groups, -1)
        total += _products(D, V)  # summed over the tiles
    gw = matmul(AA, total.reshape(t * t, -1))
    return np.ascontiguousarray(gw.T).reshape(w_shape)
