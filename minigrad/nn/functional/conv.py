"""The transposed convolution: what a convolution's backward does, as a layer's forward.

Networks that draw images (decoders, generators, U-Nets) enlarge with it. The derivatives stand
beside those of the convolution, in `ops/conv.py`; of sequences both are in `sequence.py`.
"""

from __future__ import annotations

from typing import Any

from minigrad import ops
from minigrad.kernels.geometry import ShapeError, check_images, pair, span
from minigrad.ops.conv import ConvTranspose2d
from minigrad.ops.matmul import _same_dtype
from minigrad.tensor import Tensor


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """Spread images through a bank of kernels: the input gradient of `conv2d`, "deconvolution".

    Shapes: input (N, C, H, W) or (C, H, W), weight (C, O/groups, KH, KW), bias (O,); the result is
    (N, O, OH, OW) with OH = (H - 1) SH - 2 PH + DH (KH - 1) + 1 + output_padding, and OW alike.

    Args:
        padding: what is cut off all around: that of the convolution this is the gradient of.
        output_padding: rows (columns) more below (right), of the sizes that the convolution with a
            stride maps to the same H; less than the stride or the dilation.

    Raises:
        RuntimeError: shapes, groups, sizes or dtypes do not fit; says which and what would.

    Source: Zeiler et al. (2010); PyTorch, `torch.nn.functional.conv_transpose2d`.
    """
    if input.ndim == 3:
        options = (stride, padding, output_padding, groups, dilation)
        return conv_transpose2d(ops.unsqueeze(input, 0), weight, bias, *options)[0]
    stride, padding, extra, dilation = (
        pair(value, f"[conv_transpose2d] {name}") for name, value in (
            ("stride", stride), ("padding", padding), ("output_padding", output_padding),
            ("dilation", dilation),
        )
    )
    _check(input, weight, bias, groups)
    for name, low, values in (
        ("kernel_size", 1, weight.shape[2:]), ("stride", 1, stride), ("dilation", 1, dilation),
        ("padding", 0, padding), ("output_padding", 0, extra),
    ):
        if min(values) < low:
            raise _error(f"{name} must be at least {low}, got {tuple(values)}")
    if any(e >= max(s, d) for e, s, d in zip(extra, stride, dilation, strict=True)):
        raise _error(
            f"output_padding {extra} must be smaller than either stride {stride} or dilation "
            f"{dilation}"
        )
    size = [
        (n - 1) * s - 2 * p + span(k, d) + e for n, k, s, p, d, e in
        zip(input.shape[2:], weight.shape[2:], stride, padding, dilation, extra, strict=True)
    ]
    if min(*size, *input.shape[2:]) < 1:
        raise _error(
            f"an input of {tuple(input.shape[2:])} with kernel {tuple(weight.shape[2:])}, stride "
            f"{stride} and padding {padding} gives an output of {tuple(size)}: use less padding"
        )
    (ph, pw), (eh, ew) = padding, extra
    return ConvTranspose2d.apply(
        input, weight, bias, y_shape=(input.shape[0], weight.shape[1] * groups, *size),
        stride=stride, pad=(ph, ph - eh, pw, pw - ew), dilation=dilation, groups=groups,
    )


def _check(x: Tensor, w: Tensor, b: Tensor | None, groups: int) -> None:
    check_images(x.shape, "conv_transpose2d")
    if w.ndim != 4 or w.shape[0] != x.shape[1]:
        raise _error(
            f"expects a weight of shape (C, O/groups, KH, KW) for the {x.shape[1]} channels of the "
            f"input {tuple(x.shape)}, got {tuple(w.shape)}"
        )
    if groups < 1 or w.shape[0] % groups:
        raise _error(
            f"groups ({groups}) must be positive and divide the input channels ({w.shape[0]})"
        )
    if b is not None and tuple(b.shape) != (w.shape[1] * groups,):
        raise _error(
            f"the bias must have shape ({w.shape[1] * groups},), one number an output channel, got "
            f"{tuple(b.shape)}"
        )
    _same_dtype("conv_transpose2d", x, w, b)


def _error(text: str) -> ShapeError:
    return ShapeError(f"[conv_transpose2d] {text}")
