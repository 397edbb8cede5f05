"""Pooling: one number for each window, the largest or the mean.

Max-pooling routes each gradient to the window's first maximum, so all that forward keeps is that
position: one byte an output. Windows may overlap, as AlexNet's 3x3 windows at stride 2 do; then an
input gathers the gradients of several outputs.
"""

from __future__ import annotations

from typing import Any

from minigrad import backend, dtypes, kernels
from minigrad.autograd import Function
from minigrad.backend import Array
from minigrad.kernels import geometry
from minigrad.kernels.geometry import Pad, Pair
from minigrad.ops.convert import to
from minigrad.ops.shape import squeeze, unsqueeze
from minigrad.tensor import Tensor


class MaxPool2d(Function):
    """y = max over the window;  dL/dx[first maximum] += g. By-product: flat indices in H*W."""

    def forward(
        self, x: Array, *, kernel_size: Pair, stride: Pair, pad: Pad, dilation: Pair,
        ceil_mode: bool, return_indices: bool,
    ) -> tuple[Array, Array | None]:  # (N, C, H, W) -> (N, C, OH, OW)
        self.x_shape = x.shape
        self.options = (kernel_size, stride, pad, dilation)
        y, code = kernels.of(x).max_pool2d(
            x, *self.options, ceil_mode, need_code=self.needs_input_grad[0] or return_indices
        )
        self.save_for_backward(code)
        return y, self._indices(code) if return_indices else None

    def backward(self, g: Array) -> Array:
        (code,) = self.saved_tensors
        return kernels.of(g).max_pool2d_backward(g, code, self.x_shape, *self.options)

    def _indices(self, code: Array) -> Array:
        """Where each maximum lies in its image, from its position in the window."""
        (_, kw), (sh, sw), (top, _, left, _), (dh, dw) = self.options
        arange = backend.array_module(code).arange
        oh, ow = code.shape[2:]
        code = code.astype(dtypes.int64)
        row = arange(oh)[:, None] * sh - top + code // kw * dh
        column = arange(ow) * sw - left + code % kw * dw
        return row * self.x_shape[3] + column


class AvgPool2d(Function):
    """y = mean of the window;  dL/dx += g / (window's size) over the window."""

    def forward(
        self, x: Array, *, kernel_size: Pair, stride: Pair, pad: Pad, ceil_mode: bool,
        count_include_pad: bool, divisor_override: int | None,
    ) -> Array:  # (N, C, H, W) -> (N, C, OH, OW)
        self.x_shape = x.shape
        self.options = (kernel_size, stride, pad, ceil_mode, count_include_pad, divisor_override)
        return kernels.of(x).avg_pool2d(x, *self.options)

    def backward(self, g: Array) -> Array:
        return kernels.of(g).avg_pool2d_backward(g, self.x_shape, *self.options)


class AdaptiveAvgPool2d(Function):
    """y = mean of a window, the windows chosen to give (OH, OW);  dL/dx += g / (window's size)."""

    def forward(self, x: Array, *, output_size: Pair) -> Array:  # (N, C, H, W) -> (N, C, OH, OW)
        self.x_shape = x.shape
        return kernels.of(x).adaptive_avg_pool2d(x, output_size)

    def backward(self, g: Array) -> Array:
        return kernels.of(g).adaptive_avg_pool2d_backward(g, self.x_shape)


def max_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest of each window; padding counts as minus infinity, ties go to the first.

    Shapes: input (N, C, H, W) or (C, H, W); the result is (N, C, OH, OW), its sizes rounded down,
    or up with ceil_mode (but no window starts in the right or lower padding).

    Args:
        stride: the kernel size by default; less than it, and the windows overlap.
        return_indices: also return where each maximum lies in its flattened image (int64).

    Raises:
        RuntimeError: padding of more than half the kernel, or an image smaller than the kernel.

    Source: PyTorch, `torch.nn.functional.max_pool2d`.
    """
    if input.ndim == 3:
        result = max_pool2d(
            unsqueeze(input, 0), kernel_size, stride, padding, dilation, ceil_mode, return_indices
        )
        return tuple(squeeze(x, 0) for x in result) if return_indices else squeeze(result, 0)
    kernel, stride, pad = _pool_options("max_pool2d", kernel_size, stride, padding)
    dilation = geometry.pair(dilation, "[max_pool2d] dilation")
    geometry.check_pool(input.shape, kernel, stride, pad, dilation, ceil_mode)
    y, indices = MaxPool2d.apply(
        input, kernel_size=kernel, stride=stride, pad=pad, dilation=dilation,
        ceil_mode=bool(ceil_mode), return_indices=return_indices,
    )
    return (y, indices) if return_indices else y


def avg_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window; of integers, the mean without its fraction.

    Shapes: as `max_pool2d`.

    Args:
        count_include_pad: whether zeros of the padding count in the mean.
        divisor_override: divide the sum by this instead of the number of elements.

    Source: PyTorch, `torch.nn.functional.avg_pool2d`.
    """
    if input.ndim == 3:
        batch = unsqueeze(input, 0)
        return squeeze(
            avg_pool2d(
                batch, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
            ), 0,
        )
    kernel, stride, pad = _pool_options("avg_pool2d", kernel_size, stride, padding)
    geometry.check_pool(input.shape, kernel, stride, pad, (1, 1), ceil_mode, who="avg_pool2d")
    if divisor_override is not None and divisor_override == 0:
        raise geometry.ShapeError("[avg_pool2d] divisor_override must not be 0")
    y = AvgPool2d.apply(
        input if input.is_floating_point() else to(input, dtypes.float64),
        kernel_size=kernel, stride=stride, pad=pad, ceil_mode=bool(ceil_mode),
        count_include_pad=bool(count_include_pad), divisor_override=divisor_override,
    )
    if y.dtype == input.dtype:
        return y
    return to(Tensor(y.array * (1 + 1e-12)), input.dtype)  # cut off, but not for a rounding error


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """The mean over windows that are chosen so that the result has `output_size`.

    Window i of OH covers rows floor(i H / OH) to ceil((i + 1) H / OH); a size of None keeps the
    input's. Source: PyTorch, `torch.nn.functional.adaptive_avg_pool2d`.
    """
    if input.ndim == 3:
        return squeeze(adaptive_avg_pool2d(unsqueeze(input, 0), output_size), 0)
    size = _adaptive_size("adaptive_avg_pool2d", input, output_size)
    return AdaptiveAvgPool2d.apply(input, output_size=size)


def _adaptive_size(who: str, input: Tensor, output_size: Any) -> Pair:
    geometry.check_images(input.shape, who)
    sizes = output_size if isinstance(output_size, (tuple, list)) else (output_size, output_size)
    kept = tuple(n if s is None else s for s, n in zip(sizes, input.shape[2:], strict=False))
    size = geometry.pair(kept, f"[{who}] output_size")
    if len(sizes) != 2 or min(size) < 1 or min(input.shape[2:]) < 1:
        raise geometry.ShapeError(
            f"[{who}] output_size {output_size} must be one or two sizes, and neither they nor "
            f"the input {tuple(input.shape)} may be empty"
        )
    return size


def _pool_options(who: str, kernel_size: Any, stride: Any, padding: Any) -> tuple[Pair, Pair, Pad]:
    kernel = geometry.pair(kernel_size, f"[{who}] kernel_size")
    if stride is None or stride == () or stride == []:
        stride = kernel
    pad = geometry.both_sides(geometry.pair(padding, f"[{who}] padding"))
    return kernel, geometry.pair(stride, f"[{who}] stride"), pad
