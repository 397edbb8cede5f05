"""Max, average and adaptive average pooling. The kernels, with the formulas, stand in `pool.cu`.

What is done here is only to choose the output's shape and the dtype of the codes, and to hand over
pointers. Read `pool.cu` next.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cupy
import numpy as np

from minigrad.kernels import geometry
from minigrad.kernels.cuda.module import contiguous, kernel, launch_planes, struct, window
from minigrad.kernels.geometry import Pad, Pair

Shape = Sequence[int]

NO_PAD = (0, 0, 0, 0)


def max_pool2d(
    x: Any,
    kernel_size: Pair,
    stride: Pair,
    pad: Pad,
    dilation: Pair,
    ceil_mode: bool,
    need_code: bool = True,
) -> tuple[Any, Any | None]:
    """x (N, C, H, W) -> y (N, C, OH, OW) and code, the position kh*KW+kw of the first maximum.

    code is uint8, uint16 where KH*KW > 256, and None without `need_code`.
    """
    planes = _planes(x.shape)
    places = geometry.output_shape(x.shape, kernel_size, stride, pad, dilation, ceil_mode)
    y = cupy.empty((*x.shape[:2], *places), x.dtype)
    code_type = np.dtype(np.uint8 if math.prod(kernel_size) <= 256 else np.uint16)
    code = cupy.empty(y.shape, code_type) if need_code else None
    launch_planes(
        kernel("max_pool2d", x.dtype, code_type), planes, math.prod(places),
        contiguous(x), y, code, window(x.shape, kernel_size, stride, pad, dilation, places), planes,
    )  # fmt: skip
    return y, code


def max_pool2d_backward(
    g: Any, code: Any, x_shape: Shape, kernel_size: Pair, stride: Pair, pad: Pad, dilation: Pair
) -> Any:
    """gx (N, C, H, W): g of every window whose maximum a pixel was."""
    planes = _planes(x_shape)
    gx = cupy.empty(tuple(x_shape), g.dtype)
    launch_planes(
        kernel("max_pool2d_backward", g.dtype, code.dtype), planes, math.prod(x_shape[2:]),
        contiguous(g), contiguous(code), gx,
        window(x_shape, kernel_size, stride, pad, dilation, g.shape[2:]), planes,
    )  # fmt: skip
    return gx


def avg_pool2d(
    x: Any,
    kernel_size: Pair,
    stride: Pair,
    pad: Pad,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Any:
    """x (N, C, H, W) -> y (N, C, OH, OW)."""
    planes = _planes(x.shape)
    places = geometry.output_shape(x.shape, kernel_size, stride, pad, (1, 1), ceil_mode)
    y = cupy.empty((*x.shape[:2], *places), x.dtype)
    launch_planes(
        kernel("avg_pool2d", x.dtype), planes, math.prod(places),
        contiguous(x), y, window(x.shape, kernel_size, stride, pad, (1, 1), places),
        _divisor(count_include_pad, divisor_override), planes,
    )  # fmt: skip
    return y


def avg_pool2d_backward(
    g: Any,
    x_shape: Shape,
    kernel_size: Pair,
    stride: Pair,
    pad: Pad,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Any:
    """gx (N, C, H, W): g / divisor of every window that covers a pixel."""
    planes = _planes(x_shape)
    gx = cupy.empty(tuple(x_shape), g.dtype)
    launch_planes(
        kernel("avg_pool2d_backward", g.dtype), planes, math.prod(x_shape[2:]),
        contiguous(g), gx, window(x_shape, kernel_size, stride, pad, (1, 1), g.shape[2:]),
        _divisor(count_include_pad, divisor_override), planes,
    )  # fmt: skip
    return gx


def adaptive_avg_pool2d(x: Any, output_size: Pair) -> Any:
    """x (N, C, H, W) -> y (N, C, OH, OW)."""
    planes = _planes(x.shape)
    y = cupy.empty((*x.shape[:2], *output_size), x.dtype)
    launch_planes(
        kernel("adaptive_avg_pool2d", x.dtype), planes, math.prod(output_size),
        contiguous(x), y, _adaptive(x.shape, output_size), planes,
    )  # fmt: skip
    return y


def adaptive_avg_pool2d_backward(g: Any, x_shape: Shape) -> Any:
    """gx (N, C, H, W): g / size of every window that covers a pixel."""
    planes = _planes(x_shape)
    gx = cupy.empty(tuple(x_shape), g.dtype)
    launch_planes(
        kernel("adaptive_avg_pool2d_backward", g.dtype), planes, math.prod(x_shape[2:]),
        contiguous(g), gx, _adaptive(x_shape, g.shape[2:]), planes,
    )  # fmt: skip
    return gx


def _planes(x_shape: Shape) -> int:
    return x_shape[0] * x_shape[1]


def _divisor(include_pad: bool, override: int | None) -> np.ndarray:
    return struct(include_pad, override or 0)


def _adaptive(x_shape: Shape, places: Shape) -> np.ndarray:
    """A window of which the adaptive kernels use nothing but the two sizes."""
    return window(x_shape, (1, 1), (1, 1), NO_PAD, (1, 1), places)
