"""The convolutional layers. How a convolution is computed: `ops/conv.py` and the kernels."""

from __future__ import annotations

from typing import Any

from minigrad.creation import empty
from minigrad.kernels.geometry import ShapeError, pair, same_padding
from minigrad.nn import functional as F
from minigrad.nn import init
from minigrad.nn.functional.pad import MODES
from minigrad.nn.functional.sequence import single
from minigrad.nn.module import Module
from minigrad.nn.parameter import Parameter
from minigrad.tensor import Tensor


class _Conv(Module):
    """Options, parameters and text of all convolutions, which differ in dimensions and direction.

    Raises:
        ValueError: `groups` does not divide the channels, or another option makes no sense.
    """

    dims: int  # 1 for sequences, 2 for images
    transposed = False

    def _set_up(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any, padding: Any,
        output_padding: Any, dilation: Any, groups: int, bias: bool, padding_mode: str,
        device: Any, dtype: Any,
    ) -> None:
        name = type(self).__name__
        if groups <= 0:
            raise ValueError(f"[{name}] groups must be a positive integer, got {groups}")
        for what, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % groups:
                raise ValueError(
                    f"[{name}] {what} ({channels}) must be divisible by groups ({groups})"
                )
        modes = ("zeros", *([] if self.transposed else MODES[1:]))
        if padding_mode not in modes:
            raise ValueError(
                f"[{name}] padding_mode must be one of {', '.join(map(repr, modes))}, got "
                f"{padding_mode!r}"
            )
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.padding_mode = padding_mode
        self.kernel_size = self._sizes(kernel_size, "kernel_size")
        self.stride = self._sizes(stride, "stride")
        self.dilation = self._sizes(dilation, "dilation")
        self.output_padding = self._sizes(output_padding, "output_padding")
        if not isinstance(padding, str):
            self.padding: Any = self._sizes(padding, "padding")
        elif self.transposed or padding not in ("valid", "same"):
            raise ValueError(
                f"[{name}] Invalid padding string {padding!r}, should be one of 'same', 'valid'"
            )
        elif padding == "same" and max(self.stride) > 1:
            raise ValueError(
                f"[{name}] padding='same' is not supported for strided convolutions, got stride "
                f"{self.stride}"
            )
        else:
            self.padding = padding
        rows, columns = out_channels, in_channels // groups
        if self.transposed:
            rows, columns = in_channels, out_channels // groups
        shape = (rows, columns, *self.kernel_size)
        self.weight = Parameter(empty(shape, device=device, dtype=dtype))
        b = Parameter(empty(out_channels, device=device, dtype=dtype)) if bias else None
        self.register_parameter("bias", b)
        self.reset_parameters()

    def _sizes(self, value: Any, what: str) -> tuple[int, ...]:
        """One integer a dimension."""
        name = f"[{type(self).__name__}] {what}"
        return (single(value, name),) if self.dims == 1 else pair(value, name)

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        init.default_(self.weight, self.bias)

    def _bordered(self, input: Tensor) -> tuple[Tensor, Any]:
        """(the input, what is left to pad): a border that is not of zeros is made here."""
        if self.padding_mode == "zeros" or self.padding == "valid":
            return input, self.padding
        widths: list[int] = []
        for i in reversed(range(self.dims)):  # F.pad begins with the last dimension
            widths += (
                same_padding(self.kernel_size[i], self.dilation[i]) if self.padding == "same"
                else (self.padding[i], self.padding[i])
            )
        return F.pad(input, widths, self.padding_mode), 0

    def extra_repr(self) -> str:
        none = (0,) * self.dims
        parts = [
            f"{self.in_channels}, {self.out_channels}",
            f"kernel_size={self.kernel_size}",
            f"stride={self.stride}",
        ]
        if self.padding != none:
            parts.append(f"padding={self.padding}")
        if max(self.dilation) > 1:
            parts.append(f"dilation={self.dilation}")
        if self.output_padding != none:
            parts.append(f"output_padding={self.output_padding}")
        if self.groups != 1:
            parts.append(f"groups={self.groups}")
        if self.bias is None:
            parts.append("bias=False")
        if self.padding_mode != "zeros":
            parts.append(f"padding_mode={self.padding_mode}")
        return ", ".join(parts)


class _ConvNd(_Conv):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, ...],
        stride: int | tuple[int, ...] = 1,
        padding: str | int | tuple[int, ...] = 0,
        dilation: int | tuple[int, ...] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self._set_up(
            in_channels, out_channels, kernel_size, stride, padding, 0, dilation, groups, bias,
            padding_mode, device, dtype,
        )

    def forward(self, input: Tensor) -> Tensor:
        return self.convolve(input, self.bias)

    def convolve(self, input: Tensor, bias: Tensor | None) -> Tensor:
        """`forward` with another bias, or with none."""
        input, padding = self._bordered(input)
        function = F.conv1d if self.dims == 1 else F.conv2d
        return function(input, self.weight, bias, self.stride, padding, self.dilation, self.groups)


class Conv2d(_ConvNd):
    """Slides `out_channels` filters over an image; see `functional.conv2d` for the arithmetic.

    Shapes: input (N, C, H, W), output (N, O, OH, OW), `weight` (O, C/groups, KH, KW) and `bias`
    (O,), both uniform within +-1/sqrt(C/groups * KH * KW) at first.

    Args:
        kernel_size, stride, dilation: an integer, or a pair (h, w).
        padding: an integer or pair of border pixels on both sides, "valid" (none), or "same" (the
            output has the size of the input; only with stride 1).
        groups: input and output channels are divided into this many groups that do not mix.
        padding_mode: what the border is: "zeros", "reflect", "replicate" or "circular".

    Raises:
        ValueError: `groups` does not divide the channels, or another option makes no sense.
    """

    dims = 2


class Conv1d(_ConvNd):
    """Slides `out_channels` filters along a sequence: `Conv2d` with one dimension less.

    Shapes: input (N, C, L), output (N, O, OL), `weight` (O, C/groups, K), `bias` (O,).
    """

    dims = 1


class _ConvTransposeNd(_Conv):
    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, ...],
        stride: int | tuple[int, ...] = 1,
        padding: int | tuple[int, ...] = 0,
        output_padding: int | tuple[int, ...] = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int | tuple[int, ...] = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self._set_up(
            in_channels, out_channels, kernel_size, stride, padding, output_padding, dilation,
            groups, bias, padding_mode, device, dtype,
        )

    def forward(self, input: Tensor, output_size: Any = None) -> Tensor:
        spread = F.conv_transpose1d if self.dims == 1 else F.conv_transpose2d
        return spread(
            input, self.weight, self.bias, self.stride, self.padding,
            self.output_padding if output_size is None else self._missing(input, output_size),
            self.groups, self.dilation,
        )

    def _missing(self, input: Tensor, output_size: Any) -> tuple[int, ...]:
        """The output_padding that gives the last sizes of `output_size`."""
        wanted = tuple(output_size)[-self.dims :]
        least = [
            (n - 1) * s - 2 * p + d * (k - 1) + 1 for n, s, p, d, k in zip(
                input.shape[-self.dims :], self.stride, self.padding, self.dilation,
                self.kernel_size, strict=True,
            )
        ]
        if len(wanted) != self.dims or any(
            not low <= size < low + s
            for low, size, s in zip(least, wanted, self.stride, strict=True)
        ):
            most = [low + s - 1 for low, s in zip(least, self.stride, strict=True)]
            raise ShapeError(
                f"[{type(self).__name__}] requested an output size of {tuple(output_size)}, but "
                f"valid sizes range from {least} to {most} (for an input of "
                f"{tuple(input.shape[-self.dims :])})"
            )
        return tuple(size - low for low, size in zip(least, wanted, strict=True))


class ConvTranspose2d(_ConvTransposeNd):
    """Spreads each pixel through a filter, which enlarges the image where the stride is above 1.

    See `functional.conv_transpose2d`. Shapes: input (N, C, H, W), output (N, O, OH, OW), `weight`
    (C, O/groups, KH, KW) and `bias` (O,), uniform within +-1/sqrt(O/groups * KH * KW) at first.

    Args:
        padding: of the convolution that this one undoes: so much is cut off all around.
        output_padding: rows and columns added below and at the right.
        groups, dilation, kernel_size, stride: as `Conv2d`, but in another order.
        padding_mode: only "zeros".

    `forward` takes the `output_size` (OH, OW) instead of output_padding, if wanted.
    """

    dims = 2


class ConvTranspose1d(_ConvTransposeNd):
    """`ConvTranspose2d` with one dimension less: (N, C, L) to (N, O, OL)."""

    dims = 1
