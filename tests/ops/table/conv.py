"""Convolution, and its windows as columns. H != W and KH != KW wherever that is possible."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.kernels import geometry
from minigrad.kernels import reference as ref
from tests.ops.samples import Op, error, integers, normal, sample


def pair(value: Any) -> Any:
    return value if isinstance(value, tuple) else (value, value)


def conv_options(
    w: np.ndarray, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> tuple[Any, ...]:
    stride, dilation = pair(stride), pair(dilation)
    pad = geometry.resolve_padding(padding, (w.shape[2], w.shape[3]), stride, dilation)
    return stride, pad, dilation, groups


def conv_reference(x: Any, w: Any, b: Any = None, **options: Any) -> Any:
    return ref.conv2d(x, w, b, *conv_options(w, **options))


def conv_backward(g: Any, x: Any, w: Any, b: Any = None, **options: Any) -> tuple[Any, ...]:
    gx = ref.conv2d_backward_input(g, w, x.shape, *conv_options(w, **options))
    gw = ref.conv2d_backward_weight(g, x, w.shape, *conv_options(w, **options))
    return (gx, gw) if b is None else (gx, gw, g.sum(axis=(0, 2, 3)))


def windows(
    kernel_size: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1
) -> tuple[Any, ...]:
    """The options of unfold, fold and the pools as the kernels take them."""
    return pair(kernel_size), pair(stride), geometry.both_sides(pair(padding)), pair(dilation)


def fold_reference(x: Any, output_size: Any, kernel_size: Any, **options: Any) -> Any:
    kh, kw = pair(kernel_size)
    x_shape = (len(x), x.shape[1] // (kh * kw), *pair(output_size))
    return ref.fold(x, x_shape, *windows(kernel_size, **options))


def transposed(
    x: Any, w: Any, g: int, stride: Any, padding: Any, output_padding: Any, dilation: Any
) -> tuple[Any, Any]:
    """(y's shape, the options of the convolution whose input gradient y is)."""
    sizes = zip(x.shape[2:], w.shape[2:], stride, padding, output_padding, dilation, strict=True)
    size = [(n - 1) * s - 2 * p + d * (k - 1) + 1 + e for n, k, s, p, e, d in sizes]
    (ph, pw), (eh, ew) = padding, output_padding
    return (len(x), w.shape[1] * g, *size), (stride, (ph, ph - eh, pw, pw - ew), dilation, g)


def transposed_options(
    stride: Any = 1, padding: Any = 0, output_padding: Any = 0, groups: int = 1, dilation: Any = 1
) -> tuple[Any, ...]:
    return groups, *map(pair, (stride, padding, output_padding, dilation))


def transposed_reference(x: Any, w: Any, b: Any = None, **options: Any) -> Any:
    shape, rest = transposed(x, w, *transposed_options(**options))
    y = ref.conv2d_backward_input(x, w, shape, *rest)
    return y if b is None else y + b[:, None, None]


def transposed_backward(g: Any, x: Any, w: Any, b: Any = None, **options: Any) -> tuple[Any, ...]:
    _, rest = transposed(x, w, *transposed_options(**options))
    gx = ref.conv2d(g, w, None, *rest)
    gw = ref.conv2d_backward_weight(x, g, w.shape, *rest)
    return (gx, gw) if b is None else (gx, gw, g.sum(axis=(0, 2, 3)))


def of_line(function: Any) -> Any:
    """The reference of sequences from that of images of height 1."""

    def run(x: Any, w: Any, b: Any = None, **options: Any) -> Any:
        heights = {"stride": 1, "dilation": 1, "padding": 0, "output_padding": 0}
        wide = {
            name: (heights[name], value) if isinstance(value, int) and name in heights else value
            for name, value in options.items()
        }
        return function(x[:, :, None], w[:, :, None], b, **wide)[:, :, 0]

    return run


LINES, LINE_BANK = normal(2, 4, 9), normal(6, 2, 3)
PIXELS, FILTERS = normal(1, 3, 5, 4), normal(3, 2, 3, 3)
IMAGES, BANK = normal(1, 3, 5, 5), normal(4, 3, 3, 3)

OPS = [
    Op(
        "conv2d",
        [
            sample("plain", normal(2, 3, 6, 5), normal(4, 3, 3, 2), normal(4)),
            sample("no-bias", normal(2, 3, 6, 5), normal(4, 3, 3, 3)),
            sample("stride", normal(2, 2, 8, 9), normal(3, 2, 3, 2), normal(3), stride=(2, 3)),
            sample("stride-beyond-kernel", normal(2, 2, 9, 8), normal(3, 2, 2, 2), stride=3),
            sample("padding", normal(2, 2, 5, 4), normal(3, 2, 3, 2), normal(3), padding=(2, 1)),
            sample("3x3", normal(3, 2, 9, 11), normal(3, 2, 3, 3), normal(3), padding=1),
            sample("5x5", normal(3, 2, 9, 7), normal(3, 2, 5, 5), normal(3), padding=2),
            sample("same", normal(2, 2, 5, 4), normal(3, 2, 4, 3), padding="same", dilation=(1, 2)),
            sample("valid", normal(2, 2, 5, 4), normal(3, 2, 2, 3), padding="valid"),
            sample("dilation", normal(1, 2, 9, 8), normal(3, 2, 3, 2), dilation=(2, 3), padding=1),
            sample("groups", normal(2, 4, 6, 5), normal(6, 2, 3, 2), normal(6), groups=2),
            sample("groups-3x3", normal(2, 4, 6, 5), normal(6, 2, 3, 3), groups=2, padding=1),
            sample("depthwise", normal(2, 3, 5, 6), normal(6, 1, 3, 3), groups=3, padding=1,
                   stride=2),
            sample("1x1", normal(2, 3, 4, 5), normal(2, 3, 1, 1), normal(2)),
            sample("kernel-is-image", normal(2, 3, 4, 5), normal(2, 3, 4, 5), normal(2)),
            sample("size-1", normal(1, 1, 1, 1), normal(1, 1, 1, 1), normal(1)),
            sample("one-image", normal(1, 4, 9, 8), normal(4, 2, 3, 3), normal(4), groups=2,
                   stride=2),
            sample("empty", normal(0, 2, 5, 4), normal(3, 2, 3, 3), normal(3)),
            sample("scattered", normal(2, 2, 5, 4).scattered, normal(3, 2, 3, 2).scattered,
                   normal(3).scattered, padding=1),
            sample("scattered-3x3", normal(2, 2, 5, 4).scattered, normal(3, 2, 3, 3).scattered,
                   padding=1),
            sample("threads", normal(5, 8, 20, 18), normal(6, 8, 5, 4), normal(6), padding=2),
        ],
        [
            error("dims", RuntimeError, r"\[conv2d\] expects images .* got 2 dim", normal(3, 3),
                  BANK),
            error("weight", RuntimeError, r"weight of shape \(O, C/groups", IMAGES,
                  normal(4, 3, 3)),
            error("channels", RuntimeError, "takes 2 input channels, but .* has 3", IMAGES,
                  normal(4, 2, 3, 3)),
            error("groups", RuntimeError, r"groups \(2\) must .* divide", IMAGES, BANK, groups=2),
            error("bias", RuntimeError, r"bias must have shape \(4,\)", IMAGES, BANK, normal(3)),
            error("small", RuntimeError, r"\(3, 3\) is larger than the padded input \(2, 2\)",
                  normal(1, 3, 2, 2), BANK),
            error("same", RuntimeError, "'same' needs stride 1", IMAGES, BANK, padding="same",
                  stride=2),
            error("padding", RuntimeError, "'reflect'", IMAGES, BANK, padding="reflect"),
            error("negative", RuntimeError, "padding must be at least 0", IMAGES, BANK,
                  padding=-1),
            error("stride", RuntimeError, "stride must be at least 1", IMAGES, BANK, stride=0),
            error("pair", RuntimeError, "stride must be an integer or a pair", IMAGES, BANK,
                  stride=(1, 2, 3)),
            error("dtype", RuntimeError, "one dtype, got float64, int64", IMAGES,
                  integers(0, 3, 4, 3, 3, 3)),
        ],
        reference=conv_reference, reference_backward=conv_backward, unreferenced=("threads",),
    ),
    Op(
        "unfold",
        [
            sample("plain", normal(2, 3, 5, 4), kernel_size=(3, 2)),
            sample("all", normal(2, 2, 9, 8), kernel_size=(2, 3), stride=(2, 1), padding=(1, 2),
                   dilation=(2, 1)),
            sample("stride-beyond-kernel", normal(1, 2, 7, 8), kernel_size=2, stride=3),
            sample("kernel-is-image", normal(2, 2, 3, 4), kernel_size=(3, 4)),
            sample("size-1", normal(1, 1, 1, 1), kernel_size=1),
            sample("empty", normal(0, 2, 4, 4), kernel_size=2),
            sample("scattered", normal(2, 2, 4, 5).scattered, kernel_size=2),
        ],
        [
            error("dims", RuntimeError, r"\[unfold\] expects images", normal(3, 3), kernel_size=2),
            error("small", RuntimeError, r"\[unfold\] the kernel \(4, 4\) is larger",
                  normal(1, 1, 3, 3), kernel_size=4),
        ],
        reference=lambda x, **options: ref.unfold(x, *windows(**options)),
        reference_backward=lambda g, x, **options: (ref.fold(g, x.shape, *windows(**options)),),
    ),
    Op(
        "fold",
        [
            sample("plain", normal(2, 18, 12), output_size=(5, 5), kernel_size=(3, 2)),
            sample("all", normal(2, 12, 40), output_size=(9, 6), kernel_size=(2, 3), stride=(2, 1),
                   padding=(1, 2), dilation=(2, 1)),
            sample("stride-beyond-kernel", normal(1, 8, 6), output_size=(5, 8), kernel_size=2,
                   stride=3),
            sample("empty", normal(0, 8, 9), output_size=(4, 4), kernel_size=2),
            sample("scattered", normal(2, 8, 12).scattered, output_size=(4, 5), kernel_size=2),
        ],
        [
            error("columns", RuntimeError, r"\[fold\].*\(1, 8, 9\), got \(1, 8, 8\)",
                  normal(1, 8, 8), output_size=4, kernel_size=2),
            error("dims", RuntimeError, r"\[fold\] expects columns", normal(1, 8, 3, 3),
                  output_size=4, kernel_size=2),
        ],
        reference=fold_reference,
        reference_backward=lambda g, x, output_size, **options: (
            ref.unfold(g, *windows(**options)),
        ),
    ),
    Op(
        "conv_transpose2d",
        [
            sample("plain", normal(2, 3, 4, 5), normal(3, 4, 3, 2), normal(4)),
            sample("no-bias", normal(2, 3, 4, 5), normal(3, 2, 3, 3)),
            sample("stride", normal(2, 2, 4, 3), normal(2, 3, 3, 2), normal(3), stride=(2, 3)),
            sample("stride-beyond-kernel", normal(2, 2, 3, 4), normal(2, 3, 2, 1), stride=3),
            sample("padding", normal(2, 2, 5, 4), normal(2, 3, 3, 4), normal(3), padding=(1, 2)),
            sample("3x3", normal(3, 4, 7, 6), normal(4, 2, 3, 3), normal(2), padding=1),
            sample("twice", normal(2, 4, 4, 5), normal(4, 3, 4, 4), normal(3), stride=2, padding=1),
            sample("output-padding", normal(2, 2, 4, 5), normal(2, 3, 3, 3), normal(3), stride=2,
                   padding=1, output_padding=(1, 0)),
            sample("output-beyond-padding", normal(2, 2, 3, 4), normal(2, 3, 3, 2), normal(3),
                   stride=3, output_padding=(2, 1)),
            sample("output-beyond-stride", normal(2, 2, 3, 4), normal(2, 3, 3, 2), normal(3),
                   stride=(2, 1), padding=1, dilation=(2, 4), output_padding=(1, 3)),
            sample("dilation", normal(1, 2, 4, 3), normal(2, 3, 3, 2), dilation=(2, 3), padding=1),
            sample("groups", normal(2, 4, 4, 3), normal(4, 3, 3, 2), normal(6), groups=2, stride=2),
            sample("depthwise", normal(2, 3, 4, 3), normal(3, 1, 3, 3), normal(3), groups=3),
            sample("1x1", normal(2, 3, 4, 5), normal(3, 2, 1, 1), normal(2)),
            sample("size-1", normal(1, 1, 1, 1), normal(1, 1, 1, 1), normal(1)),
            sample("empty", normal(0, 2, 5, 4), normal(2, 3, 3, 3), normal(3)),
            sample("scattered", normal(2, 2, 5, 4).scattered, normal(2, 3, 3, 2).scattered,
                   normal(3).scattered, padding=1),
            sample("threads", normal(5, 8, 15, 14), normal(8, 6, 5, 4), normal(6), stride=2),
        ],
        [
            error("dims", RuntimeError, r"\[conv_transpose2d\] expects images .* got 2 dim",
                  normal(3, 3), FILTERS),
            error("channels", RuntimeError, r"weight of shape \(C, O/groups, KH, KW\) for the 3",
                  PIXELS, normal(2, 3, 3, 3)),
            error("groups", RuntimeError, r"groups \(2\) must .* divide", PIXELS, FILTERS,
                  groups=2),
            error("bias", RuntimeError, r"bias must have shape \(2,\)", PIXELS, FILTERS, normal(3)),
            error("output-padding", RuntimeError, r"output_padding \(2, 2\) must be smaller",
                  PIXELS, FILTERS, stride=2, output_padding=2),
            error("small", RuntimeError, r"gives an output of \(-1, -2\): use less padding", PIXELS,
                  FILTERS, padding=4),
            error("negative", RuntimeError, "padding must be at least 0", PIXELS, FILTERS,
                  padding=-1),
            error("stride", RuntimeError, "stride must be at least 1", PIXELS, FILTERS, stride=0),
            error("pair", RuntimeError, "stride must be an integer or a pair", PIXELS, FILTERS,
                  stride=(1, 2, 3)),
            error("dtype", RuntimeError, "one dtype, got float64, int64", PIXELS,
                  integers(0, 3, 3, 2, 3, 3)),
        ],
        reference=transposed_reference, reference_backward=transposed_backward,
        unreferenced=("threads",),
    ),
    Op(
        "conv1d",
        [
            sample("plain", normal(2, 3, 8), normal(4, 3, 3), normal(4)),
            sample("options", LINES, LINE_BANK, normal(6), stride=2, padding=3, dilation=2,
                   groups=2),
            sample("same", normal(2, 2, 7), normal(3, 2, 4), padding="same", dilation=(2,)),
            sample("stride-beyond-kernel", normal(2, 2, 9), normal(3, 2, 2), stride=(3,)),
            sample("alone", normal(3, 8), normal(4, 3, 3), normal(4)),
            sample("empty", normal(0, 2, 5), normal(3, 2, 3)),
            sample("scattered", normal(2, 2, 8).scattered, normal(3, 2, 3).scattered),
        ],
        [
            error("dims", RuntimeError, r"\[conv1d\] expects \(N, C, L\) or \(C, L\), got",
                  normal(9), LINE_BANK),
            error("weight", RuntimeError, r"\[conv1d\] expects a weight of 3 dim", LINES,
                  normal(6, 4)),
            error("channels", RuntimeError, r"\[conv1d\] a weight .* takes 2 input channels", LINES,
                  LINE_BANK),
            error("stride", RuntimeError, r"\[conv1d\] stride must be at least 1", LINES,
                  normal(2, 4, 3), stride=0),
            error("tuple", RuntimeError, r"\[conv1d\] stride must be an integer or a tuple of one",
                  LINES, normal(2, 4, 3), stride=(1, 2)),
        ],
        reference=of_line(conv_reference), unreferenced=("alone", "same", "stride-beyond-kernel"),
    ),
    Op(
        "conv_transpose1d",
        [
            sample("plain", normal(2, 3, 5), normal(3, 4, 3), normal(4)),
            sample("options", normal(2, 4, 5), normal(4, 3, 3), normal(6), stride=3, padding=1,
                   output_padding=2, groups=2, dilation=2),
            sample("alone", normal(3, 5), normal(3, 4, 3), stride=(2,)),
        ],
        [error("groups", RuntimeError, r"\[conv_transpose1d\] groups \(2\)", normal(1, 3, 5),
               normal(3, 4, 3), groups=2)],
        reference=of_line(transposed_reference), unreferenced=("alone",),
    ),
]
