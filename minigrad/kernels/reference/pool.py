"""Pooling: each window becomes its largest number or its average; and the way back.

The gradient of a maximum goes to the one pixel that won; the gradient of an average is dealt out
evenly. `norm.py` comes next.
"""

from __future__ import annotations

import numpy as np

from minigrad.kernels import geometry
from minigrad.kernels.geometry import Pad, Pair
from minigrad.kernels.reference.precision import in_double
from minigrad.kernels.reference.windows import taps


@in_double
def max_pool2d(
    x: np.ndarray, kernel_size: Pair, stride: Pair, pad: Pad, dilation: Pair, ceil_mode: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """(y, code): the largest number of each window, and at which tap kh*KW + kw it stands.

    The first of equals wins; padding never does; a NaN beats all, and the last NaN counts
    (PyTorch's rules).
    """
    oh_size, ow_size = geometry.output_shape(x.shape, kernel_size, stride, pad, dilation, ceil_mode)
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    y = np.full((*x.shape[:2], oh_size, ow_size), lowest, x.dtype)
    code = np.zeros(y.shape, np.uint8 if kernel_size[0] * kernel_size[1] <= 256 else np.uint16)
    for n, c, oh, ow in np.ndindex(y.shape):
        seen = False
        for kh, kw, h, w in taps(oh, ow, x.shape, kernel_size, stride, pad, dilation):
            value = x[n, c, h, w]
            if not seen or value > y[n, c, oh, ow] or np.isnan(value):
                y[n, c, oh, ow] = value
                code[n, c, oh, ow] = kh * kernel_size[1] + kw
                seen = True
    return y, code


@in_double
def max_pool2d_backward(
    g: np.ndarray, code: np.ndarray, x_shape: tuple[int, ...], kernel_size: Pair, stride: Pair,
    pad: Pad, dilation: Pair,
) -> np.ndarray:
    """gx: each window sends its gradient to the pixel that won."""
    gx = np.zeros(x_shape, g.dtype)
    for n, c, oh, ow in np.ndindex(g.shape):
        for kh, kw, h, w in taps(oh, ow, x_shape, kernel_size, stride, pad, dilation):
            if code[n, c, oh, ow] == kh * kernel_size[1] + kw:
                gx[n, c, h, w] += g[n, c, oh, ow]
    return gx


def _divisors(
    x_shape: tuple[int, ...], kernel_size: Pair, stride: Pair, pad: Pad, ceil_mode: bool,
    count_include_pad: bool, divisor_override: int | None,
) -> np.ndarray:
    """What the sum of each window is divided by, (OH, OW)."""
    (kh, kw), (sh, sw), (top, bottom, left, right) = kernel_size, stride, pad
    oh, ow = geometry.output_shape(x_shape, kernel_size, stride, pad, ceil_mode=ceil_mode)
    if divisor_override:
        return np.full((oh, ow), divisor_override)
    rows = geometry.window_counts(x_shape[2], kh, sh, top, bottom, oh, count_include_pad)
    columns = geometry.window_counts(x_shape[3], kw, sw, left, right, ow, count_include_pad)
    return np.outer(rows, columns)


@in_double
def avg_pool2d(
    x: np.ndarray, kernel_size: Pair, stride: Pair, pad: Pad, ceil_mode: bool,
    count_include_pad: bool, divisor_override: int | None,
) -> np.ndarray:
    """y = the sum of each window / the number of its positions (or `divisor_override`)."""
    divisors = _divisors(
        x.shape, kernel_size, stride, pad, ceil_mode, count_include_pad, divisor_override
    )
    y = np.zeros((*x.shape[:2], *divisors.shape), x.dtype)
    for oh, ow in np.ndindex(divisors.shape):
        for _, _, h, w in taps(oh, ow, x.shape, kernel_size, stride, pad):
            y[:, :, oh, ow] += x[:, :, h, w] / divisors[oh, ow]
    return y


@in_double
def avg_pool2d_backward(
    g: np.ndarray, x_shape: tuple[int, ...], kernel_size: Pair, stride: Pair, pad: Pad,
    ceil_mode: bool, count_include_pad: bool, divisor_override: int | None,
) -> np.ndarray:
    """gx: each window gives every pixel it saw the same part of its gradient."""
    divisors = _divisors(
        x_shape, kernel_size, stride, pad, ceil_mode, count_include_pad, divisor_override
    )
    gx = np.zeros(x_shape, g.dtype)
    for oh, ow in np.ndindex(divisors.shape):
        for _, _, h, w in taps(oh, ow, x_shape, kernel_size, stride, pad):
            gx[:, :, h, w] += g[:, :, oh, ow] / divisors[oh, ow]
    return gx


@in_double
def adaptive_avg_pool2d(x: np.ndarray, output_size: Pair) -> np.ndarray:
    """The average over OH x OW windows that cover the image, whatever its size."""
    y = np.zeros((*x.shape[:2], *output_size), x.dtype)
    for oh, (top, bottom) in enumerate(geometry.adaptive_windows(x.shape[2], output_size[0])):
        for ow, (left, right) in enumerate(geometry.adaptive_windows(x.shape[3], output_size[1])):
            y[:, :, oh, ow] = x[:, :, top:bottom, left:right].mean(axis=(2, 3))
    return y


@in_double
def adaptive_avg_pool2d_backward(g: np.ndarray, x_shape: tuple[int, ...]) -> np.ndarray:
    """gx: each window deals its gradient out evenly."""
    gx = np.zeros(x_shape, g.dtype)
    for oh, (top, bottom) in enumerate(geometry.adaptive_windows(x_shape[2], g.shape[2])):
        for ow, (left, right) in enumerate(geometry.adaptive_windows(x_shape[3], g.shape[3])):
            area = (bottom - top) * (right - left)
            gx[:, :, top:bottom, left:right] += g[:, :, oh : oh + 1, ow : ow + 1] / area
    return gx
