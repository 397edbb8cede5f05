"""The convolutional layer. How a convolution is computed: `ops/conv.py` and the kernels."""

from __future__ import annotations

from typing import Any

from minigrad.creation import empty
from minigrad.kernels.geometry import pair
from minigrad.nn import functional as F
from minigrad.nn import init
from minigrad.nn.module import Module
from minigrad.nn.parameter import Parameter
from minigrad.tensor import Tensor


class Conv2d(Module):
    """Slides `out_channels` filters over an image; see `functional.conv2d` for the arithmetic.

    Shapes: input (N, C, H, W), output (N, O, OH, OW), `weight` (O, C/groups, KH, KW) and `bias`
    (O,), both uniform within +-1/sqrt(C/groups * KH * KW) at first.

    Args:
        kernel_size, stride, dilation: an integer, or a pair (h, w).
        padding: an integer or pair of zeros on both sides, "valid" (none), or "same" (the output
            has the size of the input; only with stride 1).
        groups: input and output channels are divided into this many groups that do not mix.
        padding_mode: only "zeros".

    Raises:
        ValueError: `groups` does not divide the channels, or another option makes no sense.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: str | int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if groups <= 0:
            raise ValueError(f"[Conv2d] groups must be a positive integer, got {groups}")
        for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % groups:
                raise ValueError(
                    f"[Conv2d] {name} ({channels}) must be divisible by groups ({groups})"
                )
        if padding_mode != "zeros":
            raise ValueError(
                f"[Conv2d] padding_mode must be 'zeros', got {padding_mode!r}: for another border "
                "pad the input beforehand"
            )
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = pair(kernel_size, "[Conv2d] kernel_size")
        self.stride = pair(stride, "[Conv2d] stride")
        self.dilation = pair(dilation, "[Conv2d] dilation")
        self.padding = padding
        if not isinstance(padding, str):
            self.padding = pair(padding, "[Conv2d] padding")
        elif padding not in ("valid", "same"):
            raise ValueError(
                f"[Conv2d] Invalid padding string {padding!r}, should be one of 'same', 'valid'"
            )
        elif padding == "same" and self.stride != (1, 1):
            raise ValueError(
                f"[Conv2d] padding='same' is not supported for strided convolutions, got stride "
                f"{self.stride}"
            )
        shape = (out_channels, in_channels // groups, *self.kernel_size)  # (O, C/groups, KH, KW)
        self.weight = Parameter(empty(shape, device=device, dtype=dtype))
        b = Parameter(empty(out_channels, device=device, dtype=dtype)) if bias else None
        self.register_parameter("bias", b)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        init.default_(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.conv2d(
            input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )

    def extra_repr(self) -> str:
        parts = [
            f"{self.in_channels}, {self.out_channels}",
            f"kernel_size={self.kernel_size}",
            f"stride={self.stride}",
        ]
        if self.padding != (0, 0):
            parts.append(f"padding={self.padding}")
        if self.dilation != (1, 1):
            parts.append(f"dilation={self.dilation}")
        if self.groups != 1:
            parts.append(f"groups={self.groups}")
        if self.bias is None:
            parts.append("bias=False")
        return ", ".join(parts)
