"""Winograd's convolution on a GPU: fewer multiplications for 3x3 and 5x5 kernels at stride 1.

    Y = A^T [ (G w G^T) . (B^T x B) ] A          (. is elementwise)

for each tile of m*m outputs, from t*t inputs, t = m + r - 1. `kernels/cpu/winograd.py` explains it
and derives the matrices of F(m x m, r x r). Here `winograd_tiles` makes V = B^T x B of all tiles,
(t*t, C, P), one batched product over the t*t elements multiplies it by the transformed weights
U, (t*t, O, C), and `winograd_maps` makes y of the result, bias and all. The small transforms, of
the weights and of their gradient, are products with a Kronecker square: a matrix (t*t, r*r).

The gradient of the weights is F(r x r, m x m): tiles of g are kernels that slide over the tiles of
x which they came from, and the sum over all tiles is the product's own.

Only in float32 and float64. The transforms lose 6 to 20 times what a direct sum loses: 2e-6 for
F(4x4, 3x3) and up to 6e-6 for F(4x4, 5x5) of the result's norm in float32, which is fine, and 5e-3
where the product rounds to 10 bits, as TF32 and float16 do, which is not; and tensor cores multiply
so fast that the transforms' bytes cost more than the multiplications saved.

Bytes beside im2col's 1962 MB (im2col.py says for what), for F(4x4, 5x5), with 5.4 times fewer
multiplications: x 33 MB read, V 154 MB and the product 411 MB written and read, y 89 MB written:
1252 MB.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache, partial
from typing import Any

import cupy
import numpy as np

from minigrad.kernels import geometry, precision
from minigrad.kernels.cpu.winograd import cook_toom
from minigrad.kernels.cuda import adjoint
from minigrad.kernels.cuda.module import (
    MAX_GRID_X,
    MAX_GRID_Y,
    WARP,
    check_plane,
    contiguous,
    kernel,
    struct,
)
from minigrad.kernels.cuda.views import chunks, gemm
from minigrad.kernels.geometry import Pad, Pair

TILE = {3: 4, 5: 4}  # m, the side of an output tile, by r, the kernel's
ROWS = 8  # of a tile, each a warp's: t is at most this


def lacks(dtype: np.dtype, w_shape: Sequence[int], stride: Pair, dilation: Pair) -> str:
    """What a convolution would need for this algorithm, if it cannot do it."""
    KH, KW = w_shape[2:]
    exact = dtype == np.float64 or (dtype == np.float32 and not precision.cudnn.allow_tf32)
    if exact and KH == KW and KH in TILE and stride == dilation == (1, 1):
        return ""
    return "a 3x3 or 5x5 kernel, stride 1, dilation 1, and float32 without TF32, or float64"


def conv2d(
    x: Any, w: Any, b: Any | None, stride: Pair, pad: Pad, dilation: Pair, groups: int
) -> Any:
    """x (N, C, H, W) with w (O, C/groups, r, r) and b (O,) or None -> y (N, O, OH, OW)."""
    O, per_group, r, _ = w.shape
    m, C = TILE[r], x.shape[1]
    OH, OW = geometry.output_shape(x.shape, (r, r), stride, pad, dilation)
    A, _, B, _, G2 = _matrices(x.dtype, m, r)
    y = cupy.empty((x.shape[0], O, OH, OW), x.dtype)
    U = cupy.empty((len(B) ** 2, O * per_group), x.dtype)
    gemm(G2, contiguous(w).reshape(-1, r * r).T, U)
    U = U.reshape(-1, groups, O // groups, per_group)  # (t*t, groups, O/groups, C/groups)
    for images in _chunks(y, m, len(B), C):
        V = _tiles(x[images], B, m, (OH, OW), pad)  # (t*t, C, P)
        M = cupy.empty((len(V), O, V.shape[2]), x.dtype)
        for group, out in enumerate(_by_group(M, groups)):
            gemm(U[:, group], _by_group(V, groups)[group], out)
        _launch(
            "winograd_maps", y[images], O, M.shape[2], M, None if b is None else contiguous(b),
            y[images], A, struct(O, OH, OW, 0, 0, *A.shape, m, *_down_across(OH, OW, m)),
        )  # fmt: skip
    return y


conv2d_backward_input = partial(adjoint.backward_input, conv2d)


def conv2d_backward_weight(
    g: Any, x: Any, w_shape: Sequence[int], stride: Pair, pad: Pad, dilation: Pair, groups: int
) -> Any:
    """gw (O, C/groups, r, r): tiles of g slide over those of x, all tiles summed in the product."""
    O, per_group, r, _ = w_shape
    m = TILE[r]
    _, G, B, A2, _ = _matrices(x.dtype, r, m)
    total = cupy.zeros((len(B) ** 2, groups, O // groups, per_group), x.dtype)
    for images in _chunks(g, m, len(B), x.shape[1]):
        V = _tiles(x[images], B, m, g.shape[2:], pad)  # (t*t, C, P)
        D = _tiles(g[images], G, m, g.shape[2:], (0, 0, 0, 0))  # (t*t, O, P)
        pairs = zip(_by_group(D, groups), _by_group(V, groups), strict=True)
        for group, (dg, vg) in enumerate(pairs):
            gemm(dg, vg.swapaxes(1, 2), total[:, group], accumulate=True)
    gw = cupy.empty((O * per_group, r * r), x.dtype)
    gemm(total.reshape(len(total), -1).T, A2.T, gw)
    return gw.reshape(w_shape)


def _matrices(dtype: Any, m: int, r: int) -> tuple[Any, ...]:
    """A^T (m, t), G (t, r) and B^T (t, t) of F(m, r), and the Kronecker squares of A^T and G, which
    transform a whole tile as one vector."""
    return _on_the_device(cupy.cuda.runtime.getDevice(), dtype, m, r)


@cache  # a graph cannot record a copy from the host: it finds them there
def _on_the_device(device: int, dtype: Any, m: int, r: int) -> tuple[Any, ...]:
    A, G, B = cook_toom(m, r)
    matrices = A, G, B, np.kron(A, A), np.kron(G, G)
    return tuple(cupy.asarray(matrix.astype(dtype)) for matrix in matrices)


def _down_across(OH: int, OW: int, m: int) -> Pair:
    """(TH, TW): tiles down and across a map; the last may hang over."""
    return -(-OH // m), -(-OW // m)


def _chunks(y: Any, m: int, t: int, C: int) -> Iterator[slice]:
    """Slices of images whose V and M fit in WORK_BYTES."""
    N, O, OH, OW = y.shape
    TH, TW = _down_across(OH, OW, m)
    return chunks(N, TH * TW * t * t * (C + O) * y.dtype.itemsize)


def _by_group(tiles: Any, groups: int) -> list[Any]:
    """Tiles (t*t, C, P) -> a view for each group, (t*t, C/groups, P)."""
    step = tiles.shape[1] // groups
    return [tiles[:, i : i + step] for i in range(0, tiles.shape[1], step)]


def _tiles(x: Any, matrix: Any, m: int, places: Pair, pad: Pad) -> Any:
    """matrix @ tile @ matrix.T of all tiles of x (n, C, H, W), m apart: (t*t, C, P)."""
    (n, C, H, W), (t, k), (TH, TW) = x.shape, matrix.shape, _down_across(*places, m)
    out = cupy.empty((t * t, C, n * TH * TW), x.dtype)
    tiles = struct(C, H, W, pad[0], pad[2], t, k, m, TH, TW)
    _launch("winograd_tiles", x, C, out.shape[2], contiguous(x), out, matrix, tiles)
    return out


def _launch(name: str, x: Any, channels: int, tiles: int, *args: Any) -> None:
    """A warp takes 32 tiles, and each of a block's 8 warps a row of theirs."""
    check_plane(x.shape[2] * x.shape[3])
    if tiles:
        grid = min(-(-tiles // WARP), MAX_GRID_X), min(channels, MAX_GRID_Y)
        kernel(name, x.dtype)(grid, (WARP, ROWS), (*args, tiles))
