"""Which algorithm computes a convolution: `im2col.py` for all, `winograd.py` where it is faster.

Each of them estimates its cost. That depends on shapes and dtype, never on a timing, so that a
network gives the same bits every time. `minigrad.backends.conv.algorithm = "im2col"` forces one,
and so does "winograd", with an error where that cannot do it.
"""

from __future__ import annotations

import numpy as np

from minigrad.kernels.cpu import im2col, winograd
from minigrad.kernels.geometry import Pad, Pair, output_shape

Array = np.ndarray

ALGORITHMS = ("auto", "im2col", "winograd")
algorithm = "auto"


def conv2d(
    x: Array, w: Array, b: Array | None, stride: Pair, pad: Pad, dilation: Pair, groups: int
) -> Array:
    """y = w * x + b: (N, C, H, W), (O, C/groups, KH, KW), (O,) -> (N, O, OH, OW)."""
    y_shape = (len(x), len(w), *output_shape(x.shape, w.shape[2:], stride, pad, dilation))
    if choose(x.dtype, y_shape, w.shape, stride, pad, dilation, groups) == "winograd":
        return winograd.conv2d(x, w, b, pad, groups)
    return im2col.conv2d(x, w, b, stride, pad, dilation, groups)


def conv2d_backward_input(
    g: Array, w: Array, x_shape: tuple[int, ...], stride: Pair, pad: Pad, dilation: Pair,
    groups: int,
) -> Array:
    """gx, of shape x_shape, from g (N, O, OH, OW)."""
    if choose(g.dtype, x_shape, w.shape, stride, pad, dilation, groups) == "winograd":
        return winograd.conv2d_backward_input(g, w, x_shape, pad, groups)
    return im2col.conv2d_backward_input(g, w, x_shape, stride, pad, dilation, groups)


def conv2d_backward_weight(
    g: Array, x: Array, w_shape: tuple[int, ...], stride: Pair, pad: Pad, dilation: Pair,
    groups: int,
) -> Array:
    """gw, of shape w_shape, from g (N, O, OH, OW) and x (N, C, H, W)."""
    if choose(g.dtype, g.shape, w_shape, stride, pad, dilation, groups) == "winograd":
        return winograd.conv2d_backward_weight(g, x, w_shape, pad, groups)
    return im2col.conv2d_backward_weight(g, x, w_shape, stride, pad, dilation, groups)


def choose(
    dtype: np.dtype, shape: tuple[int, ...], w_shape: tuple[int, ...], stride: Pair, pad: Pad,
    dilation: Pair, groups: int,
) -> str:
    """The name of the algorithm for maps of `shape`: y's, or where gx is computed, gx's.

    Raises:
        ValueError: `algorithm` names none, or asks for Winograd where the kernel is not 3x3 or 5x5
            with stride 1, dilation 1 and less padding than its size.
    """
    if algorithm not in ALGORITHMS:
        raise ValueError(f"backends.conv.algorithm: the CPU has {ALGORITHMS}, not {algorithm!r}")
    _, _, KH, KW = w_shape
    possible = (
        KH == KW and KH in winograd.TILES and stride == dilation == (1, 1) and max(pad) < KH
    )
    if algorithm == "winograd" and not possible:
        raise ValueError(
            f"[conv2d] algorithm 'winograd' needs a 3x3 or 5x5 kernel, stride 1, dilation 1 and "
            f"less padding than that, got kernel {(KH, KW)}, stride {stride}, dilation {dilation}, "
            f"padding {pad}"
        )
    if algorithm != "auto":
        return algorithm
    if not possible or dtype != np.float32:  # float64 is for exact results, as of gradient checks
        return "im2col"
    # By a fifth at least: its error is larger, and so is what its calls cost on several cores.
    pays = winograd.cost(shape, w_shape, groups) < 0.8 * im2col.cost(shape, w_shape, groups)
    return "winograd" if pays else "im2col"
