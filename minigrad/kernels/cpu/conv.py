"""Which algorithm computes a convolution: `im2col.py` for all, `winograd.py` where it is faster,
and where there is a stride, Winograd's by way of `space_to_depth.py`.

Each of them estimates its cost. That depends on shapes and dtype, never on a timing, so that a
network gives the same bits every time. `minigrad.backends.conv.algorithm = "im2col"` forces one,
and so do "winograd" and "space-to-depth", with an error where they cannot do it.
"""

from __future__ import annotations

from math import prod

import numpy as np

from minigrad.kernels.cpu import im2col, space_to_depth, winograd
from minigrad.kernels.geometry import Pad, Pair, output_shape

Array = np.ndarray

ALGORITHMS = ("auto", "im2col", "winograd", "space-to-depth")
NEEDS = {
    "winograd": "a 3x3 or 5x5 kernel, stride 1, dilation 1 and less padding than that",
    "space-to-depth": "a kernel of 3 or 5 strides, rounded up, both ways, and dilation 1",
}
algorithm = "auto"


def conv2d(
    x: Array, w: Array, b: Array | None, stride: Pair, pad: Pad, dilation: Pair, groups: int
) -> Array:
    """y = w * x + b: (N, C, H, W), (O, C/groups, KH, KW), (O,) -> (N, O, OH, OW)."""
    y_shape = (len(x), len(w), *output_shape(x.shape, w.shape[2:], stride, pad, dilation))
    name = choose(x.dtype, y_shape, w.shape, stride, pad, dilation, groups)
    if name == "winograd":
        return winograd.conv2d(x, w, b, pad, groups)
    if name == "space-to-depth":
        return space_to_depth.conv2d(x, w, b, stride, pad, groups)
    return im2col.conv2d(x, w, b, stride, pad, dilation, groups)


def conv2d_backward_input(
    g: Array, w: Array, x_shape: tuple[int, ...], stride: Pair, pad: Pad, dilation: Pair,
    groups: int,
) -> Array:
    """gx, of shape x_shape, from g (N, O, OH, OW)."""
    shape = x_shape if stride == (1, 1) else g.shape
    name = choose(g.dtype, shape, w.shape, stride, pad, dilation, groups)
    if name == "winograd":
        return winograd.conv2d_backward_input(g, w, x_shape, pad, groups)
    if name == "space-to-depth":
        return space_to_depth.conv2d_backward_input(g, w, x_shape, stride, pad, groups)
    return im2col.conv2d_backward_input(g, w, x_shape, stride, pad, dilation, groups)


def conv2d_backward_weight(
    g: Array, x: Array, w_shape: tuple[int, ...], stride: Pair, pad: Pad, dilation: Pair,
    groups: int,
) -> Array:
    """gw, of shape w_shape, from g (N, O, OH, OW) and x (N, C, H, W)."""
    name = choose(g.dtype, g.shape, w_shape, stride, pad, dilation, groups)
    if name == "winograd":
        return winograd.conv2d_backward_weight(g, x, w_shape, pad, groups)
    if name == "space-to-depth":
        return space_to_depth.conv2d_backward_weight(g, x, w_shape, stride, pad, groups)
    return im2col.conv2d_backward_weight(g, x, w_shape, stride, pad, dilation, groups)


def choose(
    dtype: np.dtype, shape: tuple[int, ...], w_shape: tuple[int, ...], stride: Pair, pad: Pad,
    dilation: Pair, groups: int,
) -> str:
    """The name of the algorithm for maps of `shape`: y's, or of gx at stride 1, gx's.

    Raises:
        ValueError: `algorithm` names none, or one that cannot do this convolution.
    """
    if algorithm not in ALGORITHMS:
        raise ValueError(f"backends.conv.algorithm: the CPU has {ALGORITHMS}, not {algorithm!r}")
    _, C, rows, columns = wide = space_to_depth.wide_shape(w_shape, stride)
    strided, square = stride != (1, 1), rows == columns in winograd.TILES and dilation == (1, 1)
    possible = {"winograd": square and not strided and max(pad) < rows, "space-to-depth": square}
    if not possible.get(algorithm, True):
        raise ValueError(
            f"[conv2d] algorithm {algorithm!r} needs {NEEDS[algorithm]}, got kernel "
            f"{tuple(w_shape[2:])}, stride {stride}, dilation {dilation}, padding {pad}"
        )
    if algorithm != "auto":
        return algorithm
    fast = "space-to-depth" if strided else "winograd"
    if not possible[fast] or dtype != np.float32:  # float64 is for exact results, as of gradcheck
        return "im2col"
    maps, moved = shape, 0
    if strided:  # as for the gradient of `deep`, which is larger than y and moved, 2 ns a number
        maps = (shape[0], groups * C, shape[2] + rows - 1, shape[3] + columns - 1)
        moved = 2 * prod(maps)
    cost = winograd.cost(maps, wide, groups) + moved
    # By a fifth at least: its error is larger, and so is what its calls cost on several cores.
    return fast if cost < 0.8 * im2col.cost(shape, w_shape, groups) else "im2col"
