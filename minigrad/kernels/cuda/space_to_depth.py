"""A strided convolution as one with stride 1: each SH x SW block of pixels becomes channels.

    deep[n, (c, i, j), q, p] = x[n, c, q*SH + i - top, p*SW + j - left]     i < SH, j < SW
    wide[o, (c, i, j), r, s] = w[o, c, r*SH + i, s*SW + j]                  0 beyond KH, KW

Then y = wide * deep with stride 1 and no padding: both sum over the same pixels. An 11x11 kernel
with stride 4 becomes 3x3 with 16 C channels, and 363 terms become 432, for the zeros. What is won
are long runs instead of every fourth pixel, and kernels of 3 taps for w_lowered.py, which then
copies each pixel 3 times and not 11*11/16 = 7.6 times.

Both gradients come from the same two reorderings, read the other way round: each pixel stands in
one place of `deep` or in none.

Bytes: at stride 1, as in AlexNet's second layer, there is nothing to gain, and this is w_lowered.py
with a copy of x (684 + 67 MB, im2col 1962). The first layer, 3 maps of 224x224, 11x11 with stride
4, 128 images: x 77 MB read, deep 77 MB written and read, lowered rows 223 MB written and read, the
product 143 MB written, read and written as y: 1106 MB; im2col with 542 MB of columns 1590 MB.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cupy
import numpy as np

from minigrad.kernels import geometry
from minigrad.kernels.cuda import w_lowered
from minigrad.kernels.cuda.module import contiguous, kernel, launch_planes, window
from minigrad.kernels.geometry import Pad, Pair

PLAIN = (1, 1), (0, 0, 0, 0), (1, 1)  # stride, pad, dilation of what is left to do


def lacks(dtype: np.dtype, w_shape: Sequence[int], stride: Pair, dilation: Pair) -> str:
    """What a convolution would need for this algorithm, if it cannot do it."""
    return "" if dilation == (1, 1) else "dilation 1"


def conv2d(
    x: Any, w: Any, b: Any | None, stride: Pair, pad: Pad, dilation: Pair, groups: int
) -> Any:
    """x (N, C, H, W) with w (O, C/groups, KH, KW) and b (O,) or None -> y (N, O, OH, OW)."""
    places = geometry.output_shape(x.shape, w.shape[2:], stride, pad, dilation)
    deep = _to_depth(x, _deep_shape(x.shape, w.shape, stride, places), stride, pad)
    return w_lowered.conv2d(deep, _wide(w, stride), b, *PLAIN, groups)


def conv2d_backward_input(
    g: Any, w: Any, x_shape: Sequence[int], stride: Pair, pad: Pad, dilation: Pair, groups: int
) -> Any:
    """gx (N, C, H, W), for g (N, O, OH, OW)."""
    deep_shape = _deep_shape(x_shape, w.shape, stride, g.shape[2:])
    deep = w_lowered.conv2d_backward_input(g, _wide(w, stride), deep_shape, *PLAIN, groups)
    gx = cupy.empty(tuple(x_shape), g.dtype)
    _launch("depth_to_space", gx, contiguous(deep), stride, pad)
    return gx


def conv2d_backward_weight(
    g: Any, x: Any, w_shape: Sequence[int], stride: Pair, pad: Pad, dilation: Pair, groups: int
) -> Any:
    """gw (O, C/groups, KH, KW): the part of wide's gradient that w was copied to."""
    deep_shape = _deep_shape(x.shape, w_shape, stride, g.shape[2:])
    rows, columns = _taps(w_shape, stride)
    shape = (w_shape[0], w_shape[1] * stride[0] * stride[1], rows, columns)
    deep = _to_depth(x, deep_shape, stride, pad)
    gw = w_lowered.conv2d_backward_weight(g, deep, shape, *PLAIN, groups)
    gw = gw.reshape(*w_shape[:2], *stride, rows, columns).transpose(0, 1, 4, 2, 5, 3)
    gw = gw.reshape(*w_shape[:2], rows * stride[0], columns * stride[1])
    return contiguous(gw[:, :, : w_shape[2], : w_shape[3]])


def _taps(w_shape: Sequence[int], stride: Pair) -> Pair:
    """(KH, KW) of `wide`."""
    return -(-w_shape[2] // stride[0]), -(-w_shape[3] // stride[1])


def _deep_shape(
    x_shape: Sequence[int], w_shape: Sequence[int], stride: Pair, places: Pair
) -> tuple[int, ...]:
    rows, columns = _taps(w_shape, stride)
    channels = x_shape[1] * stride[0] * stride[1]
    return x_shape[0], channels, places[0] + rows - 1, places[1] + columns - 1


def _wide(w: Any, stride: Pair) -> Any:
    """w (O, C, KH, KW) -> (O, C*SH*SW, ceil(KH/SH), ceil(KW/SW))."""
    (O, C, KH, KW), (SH, SW), (rows, columns) = w.shape, stride, _taps(w.shape, stride)
    padded = cupy.zeros((O, C, rows * SH, columns * SW), w.dtype)
    padded[:, :, :KH, :KW] = w
    split = padded.reshape(O, C, rows, SH, columns, SW).transpose(0, 1, 3, 5, 2, 4)
    return split.reshape(O, C * SH * SW, rows, columns)


def _to_depth(x: Any, deep_shape: Sequence[int], stride: Pair, pad: Pad) -> Any:
    deep = cupy.empty(deep_shape, x.dtype)
    _launch("space_to_depth", contiguous(x), deep, stride, pad)
    return deep


def _launch(name: str, x: Any, deep: Any, stride: Pair, pad: Pad) -> None:
    """A thread an element of what is written; the Window's kernel is the block of pixels."""
    w = window(x.shape, stride, stride, pad, (1, 1), deep.shape[2:])
    written = deep if name == "space_to_depth" else x
    planes = written.shape[0] * written.shape[1]
    pixels = written.shape[2] * written.shape[3]
    launch_planes(kernel(name, x.dtype), planes, pixels, x, deep, w, planes)
