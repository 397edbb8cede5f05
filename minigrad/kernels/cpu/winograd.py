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

from fractions import Fraction
from functools import cache
from math import prod
from typing import Any

import numpy as np

from minigrad.kernels.cpu import memory
from minigrad.kernels.cpu.matmul import matmul
from minigrad.kernels.cpu.threads import parallel
from minigrad.kernels.geometry import Pad

Array = np.ndarray

TILE = 4  # m, the side of an output tile
HALF = Fraction(1, 2)
POINTS = {6: (0, 1, -1, HALF, -2), 8: (0, 1, -1, 2, -2, HALF, -HALF)}  # by t; small errors
KERNELS = tuple(t - TILE + 1 for t in POINTS)  # r: the sizes of kernels that this file can do
TILES_A_BLOCK = 128  # columns of each product: enough for BLAS, few enough for the cache


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
    m, t = TILE, TILE + r - 1
    top, bottom, left, right = pad
    OH, OW = H + top + bottom - r + 1, W + left + right - r + 1
    TH, TW = -(-OH // m), -(-OW // m)  # tiles down and across; the last may hang over
    # Two-dimensional transforms are the Kronecker squares of the one-dimensional ones.
    AA, GG, BB = (np.kron(M, M).astype(x.dtype) for M in cook_toom(m, r))
    U = matmul(GG, w.reshape(-1, r * r).T).reshape(t * t, groups, O // groups, C // groups)
    y = memory.empty((N, O, OH, OW), x.dtype)
    images = max(1, TILES_A_BLOCK // (TH * TW))

    def run(start: int, stop: int) -> None:
        for i in range(start, stop, images):
            j = min(i + images, stop)
            V = _transformed(BB, _tiles(x[i:j], t, TH, TW, top, left))
            V = V.reshape(t * t, -1, groups, C // groups).transpose(0, 2, 3, 1)
            M = memory.empty((t * t, groups, O // groups, V.shape[-1]), x.dtype)
            np.matmul(U, V, out=M)  # (t*t, G, O/G, B*TH*TW)
            Y = memory.empty((M[0].size, m * m), x.dtype)
            np.matmul(M.reshape(t * t, -1).T, AA.T, out=Y)
            _place(Y, (j - i, O, TH, TW), b, y[i:j])

    parallel(run, N)
    return y


def _transformed(matrix: Array, tiles: Array) -> Array:
    """`matrix` (t*t, k*k) applied to all `tiles` (k*k, ...)."""
    out = memory.empty((len(matrix), tiles.shape[1]), tiles.dtype)
    return np.matmul(matrix, tiles, out=out)


def _tiles(x: Array, t: int, TH: int, TW: int, top: int = 0, left: int = 0) -> Array:
    """The t*t tiles, 4 apart, of x (B, C, H, W), as (t*t, B*TH*TW*C).

    Channels go innermost first, so that each tile element is a run of C numbers.
    """
    B, C, H, W = x.shape
    rows, columns = TILE * (TH - 1) + t, TILE * (TW - 1) + t
    padded = memory.zeros((B, rows, columns, C), x.dtype)
    inside = padded[:, top : top + H, left : left + W]
    inside[...] = x.transpose(0, 2, 3, 1)[:, : inside.shape[1], : inside.shape[2]]
    tiles = memory.empty((t, t, B, TH, TW, C), x.dtype)
    for p in range(t):
        for q in range(t):
            tiles[p, q] = padded[:, p : rows - t + p + 1 : TILE, q : columns - t + q + 1 : TILE]
    return tiles.reshape(t * t, -1)


def _place(Y: Array, tiles: tuple[int, int, int, int], b: Array | None, y: Array) -> None:
    """y (B, O, OH, OW) = the tiles Y (O*B*TH*TW, m*m) side by side, plus b (O,).

    A tile's row of m numbers moves as one item: NumPy copies few large items faster than many
    small ones.
    """
    B, O, TH, TW = tiles
    row = np.dtype((np.void, TILE * y.itemsize))
    rows = Y.view(row).reshape(O, B, TH, TW, TILE)
    image = memory.empty((B, O, TH, TILE, TW * TILE), y.dtype)
    target = image.view(row)  # (B, O, TH, m, TW)
    for p in range(TILE):
        target[:, :, :, p] = rows[..., p].swapaxes(0, 1)
    image = image.reshape(B, O, TH * TILE, TW * TILE)[:, :, : y.shape[2], : y.shape[3]]
    if b is None:
        np.copyto(y, image)
    else:
        np.add(image, b[:, None, None], out=y)


def conv2d_backward_input(g: Array, w: Array, pad: Pad, groups: int) -> Array:
    """`reference.conv2d_backward_input`: a convolution of g with the kernels turned by 180 degrees.

    Input pixel i received w[k] from output i - k + pad, so the gradients flow back through the
    mirrored window, padded by r - 1 - pad.
    """
    O, per_group, r, _ = w.shape
    turned = w[:, :, ::-1, ::-1].reshape(groups, O // groups, per_group, r, r).swapaxes(1, 2)
    wt = np.ascontiguousarray(turned).reshape(groups * per_group, O // groups, r, r)
    top, bottom, left, right = (r - 1 - side for side in pad)
    return conv2d(g, wt, None, (top, bottom, left, right), groups)


def conv2d_backward_weight(
    g: Array, x: Array, w_shape: tuple[int, ...], pad: Pad, groups: int
) -> Array:
    """`reference.conv2d_backward_weight` for a 3x3 or 5x5 kernel, stride 1, dilation 1.

    Each 4x4 tile of g is a kernel that slides over the t*t tile of x it came from; what it gives
    are its r*r contributions to the weights, and all tiles are summed before the last transform.
    """
    N, (O, per_group, r, _) = len(x), w_shape
    t, (TH, TW) = TILE + r - 1, (-(-g.shape[2] // TILE), -(-g.shape[3] // TILE))
    AA, GG, BB = (np.kron(M, M).astype(x.dtype) for M in cook_toom(r, TILE))
    images = max(1, 2 * TILES_A_BLOCK // (TH * TW))
    partial: dict[int, Array] = {}  # by the first image of a thread's range

    def run(start: int, stop: int) -> None:
        total: Any = None
        for i in range(start, stop, images):
            j = min(i + images, stop)
            V = _transformed(BB, _tiles(x[i:j], t, TH, TW, pad[0], pad[2]))
            D = _transformed(GG, _tiles(g[i:j], TILE, TH, TW))
            V = V.reshape(t * t, -1, groups, per_group).transpose(0, 2, 1, 3)
            D = D.reshape(t * t, -1, groups, O // groups).transpose(0, 2, 3, 1)
            product = memory.empty((t * t, groups, O // groups, per_group), x.dtype)
            np.matmul(D, V, out=product)  # summed over the tiles
            total = product if total is None else np.add(total, product, out=total)
        partial[start] = total

    parallel(run, N)
    gw = memory.zeros((r * r, O * per_group), x.dtype)
    for start in sorted(partial):  # in a fixed order: the same bits whichever thread was first
        gw += matmul(AA, partial[start].reshape(t * t, -1))
    return np.ascontiguousarray(gw.T).reshape(w_shape)
