"""Convolution: slide a window over the image, multiply, add; and its two gradients.

Three functions with the same loops. Forward reads `x` and `w` and adds to `y`; each gradient takes
the product y += x * w apart: gx += g * w and gw += g * x. Only N and the channels are left to
NumPy. `unfold` lays the windows out as columns, which makes a convolution one matrix product.
"""

from __future__ import annotations

import numpy as np

from minigrad.kernels import geometry
from minigrad.kernels.geometry import Pad, Pair
from minigrad.kernels.reference.precision import in_double
from minigrad.kernels.reference.windows import taps


def _group_of(o: int, w_shape: tuple[int, ...], groups: int) -> slice:
    """The input channels that output channel `o` looks at."""
    out_channels, per_group = w_shape[:2]
    group = o // (out_channels // groups)
    return slice(group * per_group, (group + 1) * per_group)


@in_double
def conv2d(
    x: np.ndarray, w: np.ndarray, b: np.ndarray | None, stride: Pair, pad: Pad, dilation: Pair,
    groups: int,
) -> np.ndarray:
    """y[n,o,oh,ow] = b[o] + sum over c, kh, kw of x[n,c,h,w] * w[o,c,kh,kw].

    h and w are where tap (kh, kw) of window (oh, ow) falls; PyTorch's convention: no flipping.
    x (N, C, H, W), w (O, C/groups, KH, KW), b (O,) or None, y (N, O, OH, OW).
    """
    kernel_size = w.shape[2:]
    oh_size, ow_size = geometry.output_shape(x.shape, kernel_size, stride, pad, dilation)
    y = np.zeros((len(x), len(w), oh_size, ow_size), np.result_type(x, w))
    for o, oh, ow in np.ndindex(y.shape[1:]):
        channels = _group_of(o, w.shape, groups)
        for kh, kw, h, col in taps(oh, ow, x.shape, kernel_size, stride, pad, dilation):
            y[:, o, oh, ow] += x[:, channels, h, col] @ w[o, :, kh, kw]  # (N, C) @ (C,) -> (N,)
        if b is not None:
            y[:, o, oh, ow] += b[o]
    return y


@in_double
def conv2d_backward_input(
    g: np.ndarray, w: np.ndarray, x_shape: tuple[int, ...], stride: Pair, pad: Pad, dilation: Pair,
    groups: int,
) -> np.ndarray:
    """gx: each pixel of x gets g * w from every window that saw it."""
    gx = np.zeros(x_shape, np.result_type(g, w))
    for o, oh, ow in np.ndindex(g.shape[1:]):
        channels = _group_of(o, w.shape, groups)
        for kh, kw, h, col in taps(oh, ow, x_shape, w.shape[2:], stride, pad, dilation):
            gx[:, channels, h, col] += np.outer(g[:, o, oh, ow], w[o, :, kh, kw])  # (N, C)
    return gx


@in_double
def conv2d_backward_weight(
    g: np.ndarray, x: np.ndarray, w_shape: tuple[int, ...], stride: Pair, pad: Pad, dilation: Pair,
    groups: int,
) -> np.ndarray:
    """gw: each weight gets g * x from every window in which it was used."""
    kernel_size = w_shape[2], w_shape[3]
    gw = np.zeros(w_shape, np.result_type(g, x))
    for o, oh, ow in np.ndindex(g.shape[1:]):
        channels = _group_of(o, w_shape, groups)
        for kh, kw, h, col in taps(oh, ow, x.shape, kernel_size, stride, pad, dilation):
            gw[o, :, kh, kw] += g[:, o, oh, ow] @ x[:, channels, h, col]  # (N,) @ (N, C) -> (C,)
    return gw


@in_double
def unfold(x: np.ndarray, kernel_size: Pair, stride: Pair, pad: Pad, dilation: Pair) -> np.ndarray:
    """Window (oh, ow) becomes column oh*OW + ow: (N, C, H, W) -> (N, C*KH*KW, L)."""
    oh_size, ow_size = geometry.output_shape(x.shape, kernel_size, stride, pad, dilation)
    columns = np.zeros((*x.shape[:2], *kernel_size, oh_size, ow_size), x.dtype)
    for oh, ow in np.ndindex(oh_size, ow_size):
        for kh, kw, h, w in taps(oh, ow, x.shape, kernel_size, stride, pad, dilation):
            columns[:, :, kh, kw, oh, ow] = x[:, :, h, w]
    rows = x.shape[1] * kernel_size[0] * kernel_size[1]
    return columns.reshape(len(x), rows, oh_size * ow_size)


@in_double
def fold(
    cols: np.ndarray, x_shape: tuple[int, ...], kernel_size: Pair, stride: Pair, pad: Pad,
    dilation: Pair,
) -> np.ndarray:
    """The adjoint of `unfold`: each pixel is the sum of its copies in the columns."""
    oh_size, ow_size = geometry.output_shape(x_shape, kernel_size, stride, pad, dilation)
    columns = cols.reshape(*x_shape[:2], *kernel_size, oh_size, ow_size)
    x = np.zeros(x_shape, cols.dtype)
    for oh, ow in np.ndindex(oh_size, ow_size):
        for kh, kw, h, w in taps(oh, ow, x_shape, kernel_size, stride, pad, dilation):
            x[:, :, h, w] += columns[:, :, kh, kw, oh, ow]
    return x
