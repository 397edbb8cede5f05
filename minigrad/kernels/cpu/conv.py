"""Which algorithm computes a convolution: `im2col.py` for all, `winograd.py` where it is faster.

The choice depends on shapes and dtype alone, never on a timing, so that a network gives the same
bits every time. `algorithm` forces one: "im2col", or "winograd" (an error where it cannot).
"""

from __future__ import annotations

import numpy as np

from minigrad.kernels.cpu import im2col, winograd
from minigrad.kernels.geometry import Pad, Pair, output_shape

Array = np.ndarray

ALGORITHMS = ("auto", "im2col", "winograd")
algorithm = "auto"
# From where Winograd's transforms paid for themselves, measured on AlexNet's and VGG's layers:
ENOUGH_CHANNELS = 48  # in and out, in each group
ENOUGH_SAVING = 3.0  # times fewer multiplications, tiles that hang over the edge counted


def conv2d(
    x: Array, w: Array, b: Array | None, stride: Pair, pad: Pad, dilation: Pair, groups: int
) -> Array:
    """y = w * x + b: (N, C, H, W), (O, C/groups, KH, KW), (O,) -> (N, O, OH, OW)."""
    size = output_shape(x.shape, w.shape[2:], stride, pad, dilation)
    if choose(x.dtype, size, w.shape, stride, pad, dilation, groups) == "winograd":
        return winograd.conv2d(x, w, b, pad, groups)
    return im2col.conv2d(x, w, b, stride, pad, dilation, groups)


def conv2d_backward_input(
    g: Array, w: Array, x_shape: tuple[int, ...], stride: Pair, pad: Pad, dilation: Pair,
    groups: int,
) -> Array:
    """gx, of shape x_shape, from g (N, O, OH, OW)."""
    size = (x_shape[2], x_shape[3])
    if choose(g.dtype, size, w.shape, stride, pad, dilation, groups) == "winograd":
        return winograd.conv2d_backward_input(g, w, pad, groups)
    return im2col.conv2d_backward_input(g, w, x_shape, stride, pad, dilation, groups)


conv2d_backward_weight = im2col.conv2d_backward_weight


def choose(
    dtype: np.dtype, size: Pair, w_shape: tuple[int, ...], stride: Pair, pad: Pad, dilation: Pair,
    groups: int,
) -> str:
    """The name of the algorithm that computes maps of this `size`, (OH, OW) or in backward (H, W).

    Raises:
        ValueError: `algorithm` names none, or asks for Winograd where the kernel is not 3x3 or 5x5
            with stride 1, dilation 1 and less padding than its size.
    """
    if algorithm not in ALGORITHMS:
        raise ValueError(f"kernels.cpu.conv.algorithm must be one of {ALGORITHMS}: {algorithm!r}")
    O, per_group, KH, KW = w_shape
    possible = (
        KH == KW and KH in winograd.POINTS and stride == dilation == (1, 1) and max(pad) < KH
    )
    if algorithm == "winograd" and not possible:
        raise ValueError(
            f"[conv2d] algorithm 'winograd' needs a 3x3 or 5x5 kernel, stride 1, dilation 1 and "
            f"less padding than that, got kernel {(KH, KW)}, stride {stride}, dilation {dilation}, "
            f"padding {pad}"
        )
    if algorithm != "auto":
        return algorithm
    pays = (
        possible
        and dtype == np.float32
        and min(per_group, O // groups) >= ENOUGH_CHANNELS
        and winograd.saving(*size, KH) >= ENOUGH_SAVING
    )
    return "winograd" if pays else "im2col"
