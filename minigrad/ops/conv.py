"""Convolution (cross-correlation, as in every deep-learning library), and its unrolled form.

    y[n,o,i,j] = b[o] + sum_{c,kh,kw} w[o,c,kh,kw] x[n, c, i*SH + kh*DH - PT, j*SW + kw*DW - PL]

With the windows of x laid out as columns (`unfold`, better known as im2col) this is one matrix
product; the gradients are two more. How it is computed is the kernels' business: start with
`kernels/reference/conv.py`, then `kernels/cpu/conv.py`.
"""

from __future__ import annotations

from typing import Any

from minigrad import kernels
from minigrad.autograd import Function
from minigrad.backend import Array
from minigrad.kernels import geometry
from minigrad.kernels.geometry import Pad, Pair
from minigrad.ops.matmul import _same_dtype
from minigrad.ops.shape import squeeze, unsqueeze
from minigrad.tensor import Tensor


class Conv2d(Function):
    """y = w * x + b;  dL/dx = g spread back through w, dL/dw = x * g, dL/db = sum of g.

    Keeps x and w; the columns are rebuilt in backward, since they are KH*KW times as large as x.
    """

    def forward(
        self, x: Array, w: Array, b: Array | None, *, stride: Pair, pad: Pad, dilation: Pair,
        groups: int,
    ) -> Array:  # (N, C, H, W), (O, C/groups, KH, KW), (O,) -> (N, O, OH, OW)
        needs_x, needs_w, _ = self.needs_input_grad
        self.save_for_backward(x if needs_w else None, w if needs_x else None)
        self.x_shape, self.w_shape = x.shape, w.shape
        self.options = (stride, pad, dilation, groups)
        return kernels.of(x).conv2d(x, w, b, *self.options)

    def backward(self, g: Array) -> tuple[Array | None, Array | None, Array | None]:
        x, w = self.saved_tensors
        k = kernels.of(g)
        gx = gw = gb = None
        if self.needs_input_grad[0]:
            gx = k.conv2d_backward_input(g, w, self.x_shape, *self.options)
        if self.needs_input_grad[1]:
            gw = k.conv2d_backward_weight(g, x, self.w_shape, *self.options)
        if self.needs_input_grad[2]:
            gb = k.sum_over_channels(g)
        return gx, gw, gb


class ConvTranspose2d(Function):
    """`Conv2d` with forward and input gradient exchanged:  y = b + x spread through w.

    So dL/dx = w * g is a convolution of g, and dL/dw is that convolution's, whose input was g and
    whose output's gradient was x. The convolution that maps (OH, OW) to (H, W) has PH - (output
    padding) zeros below, so that its windows are exactly H, and as many columns fewer at the right.
    """

    def forward(
        self, x: Array, w: Array, b: Array | None, *, y_shape: tuple[int, ...], stride: Pair,
        pad: Pad, dilation: Pair, groups: int,
    ) -> Array:  # (N, C, H, W), (C, O/groups, KH, KW), (O,) -> (N, O, OH, OW)
        needs_x, needs_w, _ = self.needs_input_grad
        self.save_for_backward(x if needs_w else None, w if needs_x else None)
        self.w_shape, self.options = w.shape, (stride, pad, dilation, groups)
        k = kernels.of(x)
        y = k.conv2d_backward_input(x, w, y_shape, *self.options)
        return y if b is None else k.add(y, b[:, None, None])

    def backward(self, g: Array) -> tuple[Array | None, Array | None, Array | None]:
        x, w = self.saved_tensors
        k = kernels.of(g)
        gx = gw = gb = None
        if self.needs_input_grad[0]:
            gx = k.conv2d(g, w, None, *self.options)
        if self.needs_input_grad[1]:
            gw = k.conv2d_backward_weight(x, g, self.w_shape, *self.options)
        if self.needs_input_grad[2]:
            gb = k.sum_over_channels(g)
        return gx, gw, gb


class Unfold(Function):
    """Windows as columns (im2col);  dL/dx adds each column's gradient back where it was read."""

    def forward(
        self, x: Array, *, kernel_size: Pair, stride: Pair, pad: Pad, dilation: Pair
    ) -> Array:  # (N, C, H, W) -> (N, C*KH*KW, L)
        self.x_shape = x.shape
        self.options = (kernel_size, stride, pad, dilation)
        return kernels.of(x).unfold(x, *self.options)

    def backward(self, g: Array) -> Array:
        return kernels.of(g).fold(g, self.x_shape, *self.options)


class Fold(Function):
    """Columns added up into images (col2im), the adjoint of `Unfold`;  dL/dcolumns = unfold(g)."""

    def forward(
        self, columns: Array, *, x_shape: tuple[int, ...], kernel_size: Pair, stride: Pair,
        pad: Pad, dilation: Pair,
    ) -> Array:  # (N, C*KH*KW, L) -> (N, C, H, W)
        self.options = (kernel_size, stride, pad, dilation)
        return kernels.of(columns).fold(columns, x_shape, *self.options)

    def backward(self, g: Array) -> Array:
        return kernels.of(g).unfold(g, *self.options)


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Convolve images with a bank of kernels.

    Shapes: input (N, C, H, W) or (C, H, W), weight (O, C/groups, KH, KW), bias (O,); the result
    is (N, O, OH, OW) with OH = floor((H + 2 PH - DH (KH - 1) - 1) / SH) + 1, and OW alike.

    Args:
        stride, dilation: an int or (h, w), in pixels.
        padding: zeros around the image: an int, (h, w), 'valid' (none), or 'same' (as many as keep
            H and W at stride 1; where the total is odd, the extra one goes below and right).
        groups: channels are split into this many independent convolutions.

    Raises:
        RuntimeError: shapes, groups, sizes or dtypes do not fit; says which and what would.

    Source: PyTorch, `torch.nn.functional.conv2d`.
    """
    if input.ndim == 3:
        batch = unsqueeze(input, 0)
        return squeeze(conv2d(batch, weight, bias, stride, padding, dilation, groups), 0)
    kernel = tuple(weight.shape[2:])
    stride = geometry.pair(stride, "[conv2d] stride")
    dilation = geometry.pair(dilation, "[conv2d] dilation")
    if len(kernel) != 2:
        raise geometry.ShapeError(
            f"[conv2d] expects a weight of shape (O, C/groups, KH, KW), got {tuple(weight.shape)}"
        )
    pad = geometry.resolve_padding(padding, kernel, stride, dilation)
    b_shape = None if bias is None else bias.shape
    geometry.check_conv(input.shape, weight.shape, b_shape, stride, pad, dilation, groups)
    _same_dtype("conv2d", input, weight, bias)
    return Conv2d.apply(
        input, weight, bias, stride=stride, pad=pad, dilation=dilation, groups=groups
    )


def unfold(
    input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """The windows of an image as columns: im2col.

    Shapes: input (N, C, H, W) or (C, H, W); the result is (N, C*KH*KW, L), one column for each of
    the L = OH*OW window positions.

    Raises:
        RuntimeError: shapes or sizes do not fit.

    Source: PyTorch, `torch.nn.functional.unfold`.
    """
    if input.ndim == 3:
        return squeeze(unfold(unsqueeze(input, 0), kernel_size, dilation, padding, stride), 0)
    options = _window_options("unfold", kernel_size, stride, padding, dilation)
    geometry.check_images(input.shape, "unfold")
    geometry.check_windows(input.shape, *options, who="unfold")
    return Unfold.apply(input, **_named(options))


def fold(
    input: Tensor,
    output_size: Any,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> Tensor:
    """Columns added up into images of `output_size`, overlaps summed: col2im.

    Shapes: input (N, C*KH*KW, L) or (C*KH*KW, L); the result is (N, C, *output_size).

    Raises:
        RuntimeError: the columns are not what `unfold` makes of such images.

    Source: PyTorch, `torch.nn.functional.fold`.
    """
    if input.ndim == 2:
        batch = unsqueeze(input, 0)
        return squeeze(fold(batch, output_size, kernel_size, dilation, padding, stride), 0)
    options = _window_options("fold", kernel_size, stride, padding, dilation)
    (kh, kw), size = options[0], geometry.pair(output_size, "[fold] output_size")
    if input.ndim != 3:
        raise geometry.ShapeError(
            f"[fold] expects columns of shape (N, C*KH*KW, L), got {tuple(input.shape)}"
        )
    x_shape = (input.shape[0], input.shape[1] // (kh * kw), *size)
    geometry.check_fold(input.shape, x_shape, *options)
    return Fold.apply(input, x_shape=x_shape, **_named(options))


Windows = tuple[Pair, Pair, Pad, Pair]  # kernel_size, stride, pad, dilation


def _window_options(
    who: str, kernel_size: Any, stride: Any, padding: Any, dilation: Any
) -> Windows:
    return (
        geometry.pair(kernel_size, f"[{who}] kernel_size"),
        geometry.pair(stride, f"[{who}] stride"),
        geometry.both_sides(geometry.pair(padding, f"[{who}] padding")),
        geometry.pair(dilation, f"[{who}] dilation"),
    )


def _named(options: Windows) -> dict[str, Any]:
    return dict(zip(("kernel_size", "stride", "pad", "dilation"), options, strict=True))
