"""Convolution and pooling of sequences: a sequence (N, C, L) is an image (N, C, 1, L).

Each function here is that of images on such images, with windows of height 1.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from minigrad import ops
from minigrad.kernels.geometry import Pair, ShapeError
from minigrad.nn.functional.conv import conv_transpose2d
from minigrad.nn.functional.pool import adaptive_max_pool2d
from minigrad.tensor import Tensor


def conv1d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0,
    dilation: Any = 1, groups: int = 1,
) -> Tensor:
    """Convolve sequences with a bank of kernels: `conv2d` along one dimension.

    Shapes: input (N, C, L) or (C, L), weight (O, C/groups, K), bias (O,); the result is (N, O, OL)
    with OL = floor((L + 2 padding - dilation (K - 1) - 1) / stride) + 1. Options and errors are
    those of `conv2d`, each an int or a tuple of one.
    """
    with _as_images("conv1d", "conv2d", input, weight):
        padding = padding if isinstance(padding, str) else _wide(padding, "padding", 0)
        step, gaps = _wide(stride, "stride"), _wide(dilation, "dilation")
        return _line(ops.conv2d(_image(input), _image(weight), bias, step, padding, gaps, groups))


def conv_transpose1d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0,
    output_padding: Any = 0, groups: int = 1, dilation: Any = 1,
) -> Tensor:
    """Spread sequences through a bank of kernels: `conv_transpose2d` along one dimension.

    Shapes: input (N, C, L) or (C, L), weight (C, O/groups, K), bias (O,); the result is (N, O, OL)
    with OL = (L - 1) stride - 2 padding + dilation (K - 1) + 1 + output_padding.
    """
    with _as_images("conv_transpose1d", "conv_transpose2d", input, weight):
        step, gaps = _wide(stride, "stride"), _wide(dilation, "dilation")
        cut, extra = _wide(padding, "padding", 0), _wide(output_padding, "output_padding", 0)
        return _line(conv_transpose2d(
            _image(input), _image(weight), bias, step, cut, extra, groups, gaps
        ))


def max_pool1d(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Any:
    """The largest of each window of (N, C, L) or (C, L): options and errors as `max_pool2d`."""
    with _as_images("max_pool1d", "max_pool2d", input):
        if not all(input.shape[-2:]):
            raise ShapeError(f"expects channels that are not empty, got {tuple(input.shape)}")
        kernel, step, pad = _windows(kernel_size, stride, padding)
        return _line(ops.max_pool2d(
            _image(input), kernel, step, pad, _wide(dilation, "dilation"), ceil_mode, return_indices
        ))


def avg_pool1d(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window of (N, C, L) or (C, L): options and errors as `avg_pool2d`."""
    with _as_images("avg_pool1d", "avg_pool2d", input):
        kernel, step, pad = _windows(kernel_size, stride, padding)
        return _line(ops.avg_pool2d(_image(input), kernel, step, pad, ceil_mode, count_include_pad))


def adaptive_max_pool1d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The largest of windows chosen so that (N, C, L) becomes (N, C, output_size)."""
    with _as_images("adaptive_max_pool1d", "adaptive_max_pool2d", input):
        size = _wide(output_size, "output_size")
        return _line(adaptive_max_pool2d(_image(input), size, return_indices))


def adaptive_avg_pool1d(input: Tensor, output_size: Any) -> Tensor:
    """The mean of windows chosen so that (N, C, L) becomes (N, C, output_size)."""
    with _as_images("adaptive_avg_pool1d", "adaptive_avg_pool2d", input):
        return _line(ops.adaptive_avg_pool2d(_image(input), _wide(output_size, "output_size")))


@contextmanager
def _as_images(name: str, underneath: str, input: Tensor, weight: Tensor | None = None
) -> Iterator[None]:
    """Check the dimensions; an error from `underneath` gets the name of what was called."""
    try:
        if input.ndim not in (2, 3):
            raise ShapeError(f"expects (N, C, L) or (C, L), got {tuple(input.shape)}")
        if weight is not None and weight.ndim != 3:
            raise ShapeError(f"expects a weight of 3 dimensions, got {tuple(weight.shape)}")
        yield
    except ShapeError as error:
        text = str(error).removeprefix(f"[{underneath}] ")
        raise ShapeError(f"[{name}] {text}") from None


def _image(x: Tensor) -> Tensor:
    return ops.unsqueeze(x, -2)  # (N, C, L) -> (N, C, 1, L)


def _line(y: Any) -> Any:
    return tuple(map(_line, y)) if isinstance(y, tuple) else ops.squeeze(y, -2)


def single(value: Any, name: str) -> int:
    """The integer that value is, alone or in a tuple of one."""
    items = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    try:
        (width,) = items
        return operator.index(width)
    except (TypeError, ValueError):
        raise ShapeError(f"{name} must be an integer or a tuple of one, got {value!r}") from None


def _wide(value: Any, name: str, height: int = 1) -> Pair:
    return height, single(value, name)


def _windows(kernel_size: Any, stride: Any, padding: Any) -> tuple[Pair, Any, Pair]:
    kernel = _wide(kernel_size, "kernel_size")
    step = stride if stride is None or stride in ((), []) else _wide(stride, "stride")
    return kernel, step, _wide(padding, "padding", 0)
