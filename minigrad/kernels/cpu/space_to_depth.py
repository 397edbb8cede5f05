"""A strided convolution as one with stride 1, for Winograd: SH x SW pixels become channels.

    deep[n, (c, i, j), q, p] = x[n, c, q*SH + i - top, p*SW + j - left]     i < SH, j < SW
    wide[o, (c, i, j), r, s] = w[o, c, r*SH + i, s*SW + j]                  0 beyond KH, KW

Then y = wide * deep with stride 1 and no padding: both sum over the same pixels. AlexNet's 11x11
kernel with stride 4 becomes 3x3 with 16 C channels; F(6x6, 3x3) multiplies 64 * 16 C numbers where
the windows of 6 x 6 outputs hold 36 * 121 C. Both gradients come from the same two reorderings,
read the other way round: each pixel stands in one place of `deep` or in none. Rounding is that of
`winograd.py`.
"""

from __future__ import annotations

import numpy as np

from minigrad.kernels.cpu import layout, memory, winograd
from minigrad.kernels.cpu.cores import parallel
from minigrad.kernels.cpu.layout import blocks, images_first, images_last, region
from minigrad.kernels.geometry import Pad, Pair, output_shape

Array = np.ndarray
Shape = tuple[int, ...]
NO_PAD: Pad = (0, 0, 0, 0)


def wide_shape(w_shape: Shape, stride: Pair) -> Shape:
    """(O, C*SH*SW, ceil(KH/SH), ceil(KW/SW)), for w (O, C, KH, KW)."""
    (O, C, KH, KW), (SH, SW) = w_shape, stride
    return O, C * SH * SW, -(-KH // SH), -(-KW // SW)


def conv2d(x: Array, w: Array, b: Array | None, stride: Pair, pad: Pad, groups: int) -> Array:
    """`reference.conv2d` with dilation 1, for a `wide` of 3x3 or 5x5."""
    wide, places = _wide(w, stride), output_shape(x.shape, w.shape[2:], stride, pad)
    return winograd.conv2d(_deep(x, wide.shape, stride, pad, places), wide, b, NO_PAD, groups)


def conv2d_backward_input(
    g: Array, w: Array, x_shape: Shape, stride: Pair, pad: Pad, groups: int
) -> Array:
    """`reference.conv2d_backward_input`: the gradient of `deep`, its pixels put back in x."""
    (N, C, H, W), (SH, SW), wide = x_shape, stride, _wide(w, stride)
    Q, P = _seen(wide.shape, g.shape[2:])
    deep = winograd.conv2d_backward_input(g, wide, (N, C * SH * SW, Q, P), NO_PAD, groups)
    pixels = images_last(deep).reshape(C, SH, SW, Q, P, N).transpose(5, 0, 3, 1, 4, 2)
    padded = layout.by_channel(pixels).reshape(C, Q * SH, P * SW, N)
    return images_first(region(padded, -pad[0], -pad[2], H, W))


def conv2d_backward_weight(
    g: Array, x: Array, w_shape: Shape, stride: Pair, pad: Pad, groups: int
) -> Array:
    """`reference.conv2d_backward_weight`: what of the gradient of `wide` belongs to w."""
    (O, C, KH, KW), (SH, SW), wide = w_shape, stride, wide_shape(w_shape, stride)
    deep = _deep(x, wide, stride, pad, g.shape[2:])
    gw = winograd.conv2d_backward_weight(g, deep, wide, NO_PAD, groups)
    gw = gw.reshape(O, C, SH, SW, *wide[2:]).transpose(0, 1, 4, 2, 5, 3)
    return np.ascontiguousarray(gw.reshape(O, C, wide[2] * SH, wide[3] * SW)[:, :, :KH, :KW])


def _wide(w: Array, stride: Pair) -> Array:
    (O, C, KH, KW), (SH, SW) = w.shape, stride
    _, _, R, S = shape = wide_shape(w.shape, stride)
    padded = np.pad(w, ((0, 0), (0, 0), (0, R * SH - KH), (0, S * SW - KW)))
    return padded.reshape(O, C, R, SH, S, SW).transpose(0, 1, 3, 5, 2, 4).reshape(shape)


def _seen(wide: Shape, places: Pair) -> Pair:
    """(Q, P): as many pixels of `deep` down and across as windows at these places see."""
    return places[0] + wide[2] - 1, places[1] + wide[3] - 1


def _deep(x: Array, wide: Shape, stride: Pair, pad: Pad, places: Pair) -> Array:
    """x (N, C, H, W) -> (N, C*SH*SW, Q, P), images innermost. Cores take rows.

    Images that lie one after the other, as a loader gives them, are padded that way round: only
    then do numbers come together that lie so far apart, in cache.
    """
    (N, C, H, W), (SH, SW), (Q, P) = x.shape, stride, _seen(wide, places)
    first, last = (N, 1) if x.flags.c_contiguous else (1, N)  # where the images are
    maps = x.reshape(N * C, H, W, 1) if last == 1 else images_last(x)
    deep = memory.empty((C, SH, SW, Q, P, first, last), x.dtype)

    def run(start: int, stop: int) -> None:
        for q in blocks(start, stop, layout.fitting(Q, 2 * deep.nbytes / Q)):
            count = q.stop - q.start
            slab = region(maps, pad[0] - q.start * SH, pad[2], count * SH, P * SW)
            split = slab.reshape(first, C, count, SH, P, SW, last)
            layout.copy_runs(deep[:, :, :, q], split.transpose(1, 3, 5, 2, 4, 0, 6))

    parallel(run, Q, deep.size)
    return images_first(deep.reshape(C * SH * SW, Q, P, N))
