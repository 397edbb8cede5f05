"""Pooling layers: each output is the maximum or the mean of a window. See `ops/pool.py`."""

from __future__ import annotations

from typing import Any

from minigrad.nn import functional as F
from minigrad.nn.functional.sequence import single
from minigrad.nn.module import Module
from minigrad.tensor import Tensor

Size = int | tuple[int, ...]


class MaxPool2d(Module):
    """The maximum of each window. AlexNet's windows overlap: kernel_size=3, stride=2.

    Shapes: input (N, C, H, W), output (N, C, OH, OW). The stride is the kernel size by default;
    padding counts as minus infinity; `ceil_mode` lets a last window hang over the end;
    `return_indices` also returns where in H*W each maximum was found.
    """

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        dilation: Size = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding, self.dilation = padding, dilation
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    function = staticmethod(F.max_pool2d)

    def forward(self, input: Tensor) -> Any:
        return self.function(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            ceil_mode=self.ceil_mode,
            return_indices=self.return_indices,
        )

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(MaxPool2d):
    """`MaxPool2d` with one dimension less: (N, C, L) to (N, C, OL)."""

    function = staticmethod(F.max_pool1d)


class AvgPool2d(Module):
    """The mean of each window.

    Shapes: input (N, C, H, W), output (N, C, OH, OW). The divisor is the window's size, with the
    padding unless `count_include_pad` is False, or `divisor_override`.
    """

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding, self.ceil_mode = padding, ceil_mode
        self.count_include_pad, self.divisor_override = count_include_pad, divisor_override

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(Module):
    """The mean of each window of (N, C, L): as `AvgPool2d`, but for the divisor."""

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        stride = kernel_size if stride is None else stride
        self.kernel_size, self.stride, self.padding = (
            (single(value, f"[AvgPool1d] {name}"),) for name, value in (
                ("kernel_size", kernel_size), ("stride", stride), ("padding", padding)
            )
        )
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool1d(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode,
            self.count_include_pad,
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AdaptiveAvgPool2d(Module):
    """The mean of windows chosen so that the output has `output_size`, an integer or (OH, OW).

    Shapes: input (N, C, H, W), output (N, C, OH, OW). None keeps the size of the input.
    """

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    function = staticmethod(F.adaptive_avg_pool2d)

    def forward(self, input: Tensor) -> Tensor:
        return self.function(input, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(AdaptiveAvgPool2d):
    """`AdaptiveAvgPool2d` with one dimension less: (N, C, L) to (N, C, output_size)."""

    function = staticmethod(F.adaptive_avg_pool1d)


class AdaptiveMaxPool2d(Module):
    """The maximum of windows chosen so that the output has `output_size`, an integer or (OH, OW).

    Shapes: input (N, C, H, W), output (N, C, OH, OW). None keeps the size of the input;
    `return_indices` also returns where in H*W each maximum was found.
    """

    function = staticmethod(F.adaptive_max_pool2d)

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__()
        self.output_size, self.return_indices = output_size, return_indices

    def forward(self, input: Tensor) -> Any:
        return self.function(input, self.output_size, self.return_indices)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveMaxPool1d(AdaptiveMaxPool2d):
    """`AdaptiveMaxPool2d` with one dimension less: (N, C, L) to (N, C, output_size)."""

    function = staticmethod(F.adaptive_max_pool1d)
