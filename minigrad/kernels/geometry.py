"""Where windows lie: output sizes, padding and the checks, in one formula that everybody uses.

Convolution, pooling and unfold all slide a window over an image. Tap k of output position o looks
at input position

    i = o * stride - pad_before + k * dilation

and everything in this file follows from that line: how many positions there are, which of them
stay inside the image, and which arguments make no sense. Read `reference/windows.py` next.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from typing import Any

Pair = tuple[int, int]  # (h, w)
Pad = tuple[int, int, int, int]  # (top, bottom, left, right)


class ShapeError(ValueError, RuntimeError):
    """Sizes or options that do not fit. PyTorch raises now the one, now the other: this is both."""


# ------------------------------------------------------------------------------------- arguments


def pair(value: Any, name: str) -> Pair:
    """`(h, w)` from an integer that stands for both, alone or in a tuple, or from two integers.

    `name` opens the error message: `pair(stride, "[conv2d] stride")`.

    Raises:
        ValueError: value is none of these.
    """
    items = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    items = items * 2 if len(items) == 1 else items
    try:
        if len(items) == 2 and bool not in map(type, items):
            return operator.index(items[0]), operator.index(items[1])
    except TypeError:
        pass
    raise ShapeError(f"{name} must be an integer or a pair of integers (h, w), got {value!r}")


def both_sides(padding: Pair) -> Pad:
    """The same padding before and after: (PH, PW) as (top, bottom, left, right)."""
    ph, pw = padding
    return ph, ph, pw, pw


def same_padding(kernel: int, dilation: int = 1) -> Pair:
    """(before, after) that keeps the size at stride 1; the odd one goes after, as in PyTorch."""
    total = dilation * (kernel - 1)
    return total // 2, total - total // 2


def resolve_padding(
    padding: Any, kernel_size: Pair, stride: Pair, dilation: Pair = (1, 1), who: str = "conv2d"
) -> Pad:
    """The padding argument of a convolution as four integers (top, bottom, left, right).

    `padding` is an integer, a pair (PH, PW), "valid" (none) or "same" (the output has the size of
    the input; only with stride 1).

    Raises:
        ValueError: another string, "same" with a stride, a negative number, no pair.
    """
    if padding == "valid":
        return 0, 0, 0, 0
    if padding == "same":
        if tuple(stride) != (1, 1):
            raise ShapeError(
                f"[{who}] padding='same' needs stride 1, got stride {tuple(stride)}: "
                "give the padding in numbers instead"
            )
        top, bottom = same_padding(kernel_size[0], dilation[0])
        left, right = same_padding(kernel_size[1], dilation[1])
        return top, bottom, left, right
    if isinstance(padding, str):
        raise ShapeError(
            f"[{who}] padding must be an integer, a pair, 'same' or 'valid', got {padding!r}"
        )
    ph, pw = pair(padding, f"[{who}] padding")
    _check_at_least(0, (ph, pw), who, "padding")
    return both_sides((ph, pw))


# ------------------------------------------------------------------------------- sizes, positions


def span(kernel: int, dilation: int = 1) -> int:
    """Input positions from a window's first tap to its last, both included."""
    return dilation * (kernel - 1) + 1


def conv_output_size(
    size: int, kernel: int, stride: int, pad_before: int, pad_after: int, dilation: int = 1
) -> int:
    """Windows that fit into the padded input: floor((size + pads - span) / stride) + 1.

    Below 1 where not even one fits; `check_conv` and the other checks turn that into an error.
    """
    return (size + pad_before + pad_after - span(kernel, dilation)) // stride + 1


def pool_output_size(
    size: int, kernel: int, stride: int, pad_before: int, pad_after: int, dilation: int = 1,
    ceil_mode: bool = False,
) -> int:
    """As `conv_output_size`; with `ceil_mode` a last window may hang over the end.

    PyTorch's rule: round up instead of down, but drop a last window that would start beyond the
    input and its left padding, for it would see nothing but right padding.
    """
    if not ceil_mode:
        return conv_output_size(size, kernel, stride, pad_before, pad_after, dilation)
    out = conv_output_size(size + stride - 1, kernel, stride, pad_before, pad_after, dilation)
    return out - 1 if (out - 1) * stride >= size + pad_before else out


def output_shape(
    shape: Sequence[int], kernel_size: Pair, stride: Pair, pad: Pad, dilation: Pair = (1, 1),
    ceil_mode: bool = False,
) -> Pair:
    """(OH, OW) of a convolution, unfold or pool over an input of shape (..., H, W)."""
    (h, w), (kh, kw), (sh, sw), (dh, dw) = shape[-2:], kernel_size, stride, dilation
    top, bottom, left, right = pad
    return (
        pool_output_size(h, kh, sh, top, bottom, dh, ceil_mode),
        pool_output_size(w, kw, sw, left, right, dw, ceil_mode),
    )


def tap_positions(tap: int, out: int, stride: int, dilation: int = 1) -> slice:
    """The positions of the *padded* input that tap `tap` of the windows 0..out-1 looks at."""
    first = tap * dilation
    return slice(first, first + (out - 1) * stride + 1, stride)


def tap_inside(
    tap: int, size: int, out: int, stride: int, pad_before: int, dilation: int = 1
) -> tuple[slice, slice]:
    """(outputs, inputs): the windows whose tap falls inside the unpadded input, and where.

    For kernels that skip the padding instead of copying the input into a larger array:
    `y[outputs] += x[inputs]`. Both slices are empty where the tap only ever sees padding.
    """
    offset = tap * dilation - pad_before  # i = o * stride + offset
    first = max(0, -(offset // stride))
    stop = min(out, (size - 1 - offset) // stride + 1)
    if stop <= first:
        return slice(0, 0), slice(0, 0)
    start = first * stride + offset
    return slice(first, stop), slice(start, start + (stop - 1 - first) * stride + 1, stride)


def window_counts(
    size: int, kernel: int, stride: int, pad_before: int, pad_after: int, out: int,
    count_include_pad: bool,
) -> list[int]:
    """The positions that each of `out` windows of an average counts, along one axis.

    With `count_include_pad` the padding counts, but not what `ceil_mode` lets hang over beyond it
    (PyTorch's rule). A window's divisor is its count of rows times its count of columns.
    """
    counts = []
    for o in range(out):
        start = o * stride - pad_before
        stop = min(start + kernel, size + pad_after)
        counts.append(stop - start if count_include_pad else min(stop, size) - max(start, 0))
    return counts


def adaptive_windows(size: int, out: int) -> Iterator[tuple[int, int]]:
    """(start, stop) of each of `out` windows that cover the input: floor(i*size/out), ceil(...).

    The windows differ by at most one in length and overlap where out does not divide size.
    """
    for i in range(out):
        yield i * size // out, -((i + 1) * size // -out)


# ----------------------------------------------------------------------------------------- checks


def check_images(shape: Sequence[int], who: str) -> None:
    """Raises ValueError unless `shape` is (N, C, H, W)."""
    if len(shape) != 4:
        raise ShapeError(
            f"[{who}] expects images of shape (N, C, H, W), got {len(shape)} dimensions: "
            f"{tuple(shape)}"
        )


def check_conv(
    x_shape: Sequence[int],
    w_shape: Sequence[int],
    b_shape: Sequence[int] | None,
    stride: Pair,
    pad: Pad,
    dilation: Pair,
    groups: int,
    who: str = "conv2d",
) -> None:
    """Raises ValueError where these shapes and options are no convolution.

    x (N, C, H, W), w (O, C/groups, KH, KW), b (O,) or None.
    """
    check_images(x_shape, who)
    if len(w_shape) != 4:
        raise ShapeError(
            f"[{who}] expects a weight of shape (O, C/groups, KH, KW), got {tuple(w_shape)}"
        )
    channels, (out_channels, per_group) = x_shape[1], w_shape[:2]
    if groups < 1 or channels % groups or out_channels % groups:
        raise ShapeError(
            f"[{who}] groups ({groups}) must be positive and divide both the input channels "
            f"({channels}) and the output channels ({out_channels})"
        )
    if per_group * groups != channels:
        raise ShapeError(
            f"[{who}] a weight of shape {tuple(w_shape)} with groups={groups} takes "
            f"{per_group * groups} input channels, but the input {tuple(x_shape)} has {channels}"
        )
    if b_shape is not None and tuple(b_shape) != (out_channels,):
        raise ShapeError(
            f"[{who}] the bias must have shape ({out_channels},), one number an output channel, "
            f"got {tuple(b_shape)}"
        )
    check_windows(x_shape, tuple(w_shape[2:]), stride, pad, dilation, who=who)  # type: ignore[arg-type]


def check_pool(
    x_shape: Sequence[int],
    kernel_size: Pair,
    stride: Pair,
    pad: Pad,
    dilation: Pair = (1, 1),
    ceil_mode: bool = False,
    who: str = "max_pool2d",
) -> None:
    """Raises ValueError where these options are no pool of images (N, C, H, W).

    The padding may be at most half of the kernel, as in PyTorch: every window sees the image.
    """
    check_images(x_shape, who)
    check_windows(x_shape, kernel_size, stride, pad, dilation, ceil_mode, who)
    kh, kw = kernel_size
    if max(pad[:2]) > kh // 2 or max(pad[2:]) > kw // 2:
        raise ShapeError(
            f"[{who}] padding {_show_pad(pad)} must be at most half the kernel size {(kh, kw)}: "
            "use less padding or a larger kernel"
        )


def check_fold(
    cols_shape: Sequence[int],
    x_shape: Sequence[int],
    kernel_size: Pair,
    stride: Pair,
    pad: Pad,
    dilation: Pair,
    who: str = "fold",
) -> None:
    """Raises ValueError unless columns (N, C*KH*KW, L) are what unfold makes of `x_shape`."""
    check_images(x_shape, who)
    check_windows(x_shape, kernel_size, stride, pad, dilation, who=who)
    oh, ow = output_shape(x_shape, kernel_size, stride, pad, dilation)
    rows = x_shape[1] * kernel_size[0] * kernel_size[1]
    if tuple(cols_shape) != (x_shape[0], rows, oh * ow):
        raise ShapeError(
            f"[{who}] images of shape {tuple(x_shape)} and a kernel {tuple(kernel_size)} need "
            f"columns of shape (N, C*KH*KW, OH*OW) = {(x_shape[0], rows, oh * ow)}, "
            f"got {tuple(cols_shape)}"
        )


def check_windows(
    x_shape: Sequence[int],
    kernel_size: Pair,
    stride: Pair,
    pad: Pad,
    dilation: Pair = (1, 1),
    ceil_mode: bool = False,
    who: str = "unfold",
) -> None:
    """Raises ValueError unless at least one window of this kind lies on (..., H, W)."""
    _check_at_least(1, kernel_size, who, "kernel_size")
    _check_at_least(1, stride, who, "stride")
    _check_at_least(1, dilation, who, "dilation")
    _check_at_least(0, pad, who, "padding")
    if min(output_shape(x_shape, kernel_size, stride, pad, dilation, ceil_mode)) >= 1:
        return
    h, w = x_shape[-2:]
    padded = h + pad[0] + pad[1], w + pad[2] + pad[3]
    kernel = f"the kernel {tuple(kernel_size)}"
    if tuple(dilation) != (1, 1):
        spans = span(kernel_size[0], dilation[0]), span(kernel_size[1], dilation[1])
        kernel += f", which dilation {tuple(dilation)} stretches to {spans},"
    raise ShapeError(
        f"[{who}] {kernel} is larger than the padded input {padded}: the input is {(h, w)} with "
        f"padding {_show_pad(pad)}; use larger images, a smaller kernel or more padding"
    )


def _check_at_least(low: int, values: Sequence[int], who: str, name: str) -> None:
    if min(values) < low:
        raise ShapeError(f"[{who}] {name} must be at least {low}, got {tuple(values)}")


def _show_pad(pad: Pad) -> str:
    top, bottom, left, right = pad
    if (top, left) == (bottom, right):
        return str((top, left))
    return f"{pad} (top, bottom, left, right)"
