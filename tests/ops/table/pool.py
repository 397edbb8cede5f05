"""One number for each window, the largest or the mean; windows overlap, hang over, leave gaps."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.kernels import geometry
from minigrad.kernels import reference as ref
from tests.ops.samples import Op, error, integers, normal, sample, spaced
from tests.ops.table.conv import pair, windows

EVERY_POOL = [
    ("plain", (2, 3, 6, 4), {"kernel_size": 2}),
    ("overlap", (2, 2, 7, 9), {"kernel_size": 3, "stride": 2}),
    ("stride-beyond-kernel", (2, 2, 8, 7), {"kernel_size": 2, "stride": 3}),
    ("padding", (2, 2, 5, 6), {"kernel_size": (3, 2), "stride": (1, 2), "padding": (1, 1)}),
    ("ceil", (2, 2, 6, 7), {"kernel_size": 3, "stride": 2, "ceil_mode": True}),
    ("ceil-padding", (1, 2, 6, 8),
     {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}),
    ("ceil-gaps", (1, 1, 7, 8), {"kernel_size": (2, 1), "stride": (3, 4), "ceil_mode": True}),
    ("kernel-is-image", (2, 2, 3, 5), {"kernel_size": (3, 5)}),
    ("many-taps", (1, 1, 20, 19), {"kernel_size": 17, "stride": 1}),
    ("size-1", (1, 1, 1, 1), {"kernel_size": 1}),
    ("empty", (0, 2, 4, 4), {"kernel_size": 2}),
    ("blocks", (3, 40, 31, 30), {"kernel_size": 3, "stride": 2}),
]


def pool_samples(draw: Any) -> list[Any]:
    return [sample(name, draw(*shape), **options) for name, shape, options in EVERY_POOL] + [
        sample("scattered", draw(2, 2, 6, 5).scattered, kernel_size=3, stride=1)
    ]


def pool_errors(name: str) -> list[Any]:
    images = normal(1, 1, 4, 4)
    return [
        error("dims", RuntimeError, rf"\[{name}\] expects images", normal(3, 3), kernel_size=2),
        error("padding", RuntimeError,
              rf"\[{name}\] padding \(2, 2\) must be at most half the kernel size \(2, 2\)",
              images, kernel_size=2, padding=2),
        error("small", RuntimeError, r"kernel \(3, 3\) is larger .* input is \(2, 5\)",
              normal(1, 1, 2, 5), kernel_size=3),
        error("stride", RuntimeError, rf"\[{name}\] stride must be at least 1", images,
              kernel_size=2, stride=0),
    ]


def max_options(
    kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> tuple[Any, ...]:
    return *windows(kernel_size, stride or kernel_size, padding, dilation), ceil_mode


def max_backward(g: Any, x: Any, **options: Any) -> tuple[Any, ...]:
    *rest, ceil_mode = max_options(**options)
    _, code = ref.max_pool2d(x, *rest, ceil_mode)
    return (ref.max_pool2d_backward(g, code, x.shape, *rest),)


def avg_options(
    kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> tuple[Any, ...]:
    kernel_size, stride, pad, _ = windows(kernel_size, stride or kernel_size, padding)
    return kernel_size, stride, pad, ceil_mode, count_include_pad, divisor_override


def adaptive_size(x: np.ndarray, output_size: Any) -> tuple[int, ...]:
    sizes = zip(pair(output_size), x.shape[2:], strict=True)
    return tuple(n if size is None else size for size, n in sizes)


def adaptive_max(x: Any, output_size: Any, return_indices: bool = False) -> Any:
    """The largest of each window, from its borders."""
    size = adaptive_size(x, output_size)
    y = np.zeros((*x.shape[:2], *size))
    for oh, (top, bottom) in enumerate(geometry.adaptive_windows(x.shape[2], size[0])):
        for ow, (left, right) in enumerate(geometry.adaptive_windows(x.shape[3], size[1])):
            y[:, :, oh, ow] = x[:, :, top:bottom, left:right].max(axis=(2, 3))
    return y


def line_op(name: str, draw: Any, samples: Any, errors: Any, of_images: Any) -> Op:
    """A pool of sequences, whose reference is that of images of height 1."""
    cases = [sample(case, draw(*shape), **options) for case, shape, options in samples]
    return Op(
        name, [*cases, sample("scattered", draw(2, 3, 8).scattered, **samples[0][2])], errors,
        reference=lambda x, **options: of_images(x[:, :, None], **options)[:, :, 0],
        unreferenced=("alone", "indices", "tuples"), numerical="central",
    )


def of_height_1(function: Any) -> Any:
    """The pool of images with each option a pair."""
    heights = {"kernel_size": 1, "stride": 1, "dilation": 1, "padding": 0, "output_size": 1}

    def run(x: Any, **options: Any) -> Any:
        return function(x, **{
            name: (heights[name], value) if name in heights else value
            for name, value in options.items()
        })

    return run


def line_errors(name: str) -> list[Any]:
    return [
        error("dims", RuntimeError, rf"\[{name}\] expects \(N, C, L\) or \(C, L\), got \(4,\)",
              normal(4), kernel_size=2),
        error("stride", RuntimeError, rf"\[{name}\] stride must be at least 1", normal(1, 1, 4),
              kernel_size=2, stride=0),
        error("padding", RuntimeError, rf"\[{name}\] padding .* at most half", normal(1, 1, 4),
              kernel_size=2, padding=2),
    ]


EVERY_LINE = [
    ("plain", (2, 3, 8), {"kernel_size": 2}),
    ("overlap", (2, 2, 9), {"kernel_size": 3, "stride": 2, "padding": 1}),
    ("ceil", (1, 2, 8), {"kernel_size": 3, "stride": 2, "ceil_mode": True}),
    ("alone", (3, 8), {"kernel_size": 2, "stride": 3}),
    ("tuples", (2, 3, 8), {"kernel_size": (3,), "stride": (2,), "padding": (1,)}),
]
EVERY_SIZE = [
    ("uneven", (2, 3, 8), {"output_size": 3}),
    ("even", (2, 3, 8), {"output_size": 4}),
    ("tuples", (2, 3, 8), {"output_size": (5,)}),
    ("alone", (3, 7), {"output_size": 2}),
]
NO_SIZE = error("size", RuntimeError, "output_size must be an integer or a tuple of one",
                normal(1, 1, 4), output_size=(1, 2))

OPS = [
    Op(
        "max_pool2d",
        [
            *pool_samples(spaced),
            sample("dilation", spaced(2, 2, 9, 8), kernel_size=(3, 2), stride=1, dilation=(2, 3)),
            sample("indices", spaced(2, 2, 7, 6), kernel_size=(3, 2), stride=2, padding=1,
                   return_indices=True),
        ],
        [
            *pool_errors("max_pool2d"),
            error("dilation", RuntimeError, r"dilation \(3, 3\) stretches to \(4, 4\)",
                  normal(1, 1, 3, 3), kernel_size=2, dilation=3),
        ],
        reference=lambda x, **options: ref.max_pool2d(x, *max_options(**options))[0],
        reference_backward=max_backward, unreferenced=("blocks",), numerical="central",
    ),
    Op(
        "avg_pool2d",
        [
            *pool_samples(normal),
            sample("uncounted", normal(2, 2, 5, 6), kernel_size=3, stride=2, padding=1,
                   count_include_pad=False),
            sample("ceil-uncounted", normal(1, 2, 6, 8), kernel_size=3, stride=2, padding=1,
                   ceil_mode=True, count_include_pad=False),
            sample("divisor", normal(2, 2, 5, 6), kernel_size=2, divisor_override=3),
            sample("tuples", normal(2, 2, 6, 7), kernel_size=(3,), stride=(2,), padding=(1,)),
            sample("whole", integers(-50, 50, 2, 2, 9, 9), kernel_size=(7, 3), stride=1,
                   padding=1),
        ],
        [
            *pool_errors("avg_pool2d"),
            error("divisor", RuntimeError, "divisor_override must not be 0", normal(1, 1, 4, 4),
                  kernel_size=2, divisor_override=0),
        ],
        reference=lambda x, **options: ref.avg_pool2d(x, *avg_options(**options)),
        reference_backward=lambda g, x, **options: (
            ref.avg_pool2d_backward(g, x.shape, *avg_options(**options)),
        ),
        unreferenced=("blocks", "tuples", "whole"),
    ),
    Op(
        "adaptive_avg_pool2d",
        [
            sample("one", normal(2, 3, 6, 4), output_size=1),
            sample("even", normal(2, 2, 6, 9), output_size=(3, 3)),
            sample("uneven", normal(2, 2, 7, 5), output_size=(3, 4)),
            sample("larger", normal(1, 2, 3, 4), output_size=(5, 6)),
            sample("none", normal(1, 2, 5, 6), output_size=(None, 2)),
            sample("size-1", normal(1, 1, 1, 1), output_size=2),
            sample("empty", normal(0, 2, 4, 4), output_size=2),
            sample("scattered", normal(2, 2, 6, 5).scattered, output_size=(4, 2)),
        ],
        [
            error("size", RuntimeError, "may be empty", normal(1, 1, 4, 4), output_size=0),
            error("sizes", RuntimeError, r"one or two sizes", normal(1, 1, 4, 4),
                  output_size=(2,)),
            error("dims", RuntimeError, r"\[adaptive_avg_pool2d\] expects images", normal(4, 4),
                  output_size=2),
        ],
        reference=lambda x, output_size: ref.adaptive_avg_pool2d(x, adaptive_size(x, output_size)),
        reference_backward=lambda g, x, output_size: (
            ref.adaptive_avg_pool2d_backward(g, x.shape),
        ),
    ),
    Op(
        "adaptive_max_pool2d",
        [
            sample("one", spaced(2, 3, 6, 4), output_size=1),
            sample("even", spaced(2, 2, 6, 9), output_size=(3, 3)),
            sample("uneven", spaced(2, 2, 7, 5), output_size=(3, 4)),
            sample("larger", spaced(1, 2, 3, 4), output_size=(5, 6)),
            sample("none", spaced(1, 2, 5, 6), output_size=(None, 4)),
            sample("size-1", spaced(1, 1, 1, 1), output_size=2),
            sample("empty", spaced(0, 2, 5, 4), output_size=3),
            sample("scattered", spaced(2, 2, 6, 5).scattered, output_size=(4, 2)),
            sample("alone", spaced(2, 7, 5), output_size=(3, 4), return_indices=True),
            sample("indices", spaced(2, 2, 7, 5), output_size=(3, 4), return_indices=True),
            sample("indices-even", spaced(2, 2, 6, 4), output_size=2, return_indices=True),
        ],
        [
            error("size", RuntimeError, "may be empty", normal(1, 1, 4, 4), output_size=0),
            error("dims", RuntimeError, r"\[adaptive_max_pool2d\] expects images", normal(4, 4),
                  output_size=2),
        ],
        reference=adaptive_max, unreferenced=("alone",), numerical="central",
    ),
    line_op(
        "max_pool1d", spaced,
        [*EVERY_LINE, ("dilation", (2, 2, 9), {"kernel_size": 3, "stride": 1, "dilation": 2}),
         ("indices", (2, 2, 9), {"kernel_size": 3, "return_indices": True})],
        [*line_errors("max_pool1d"), error("channels", RuntimeError, "that are not empty",
                                           normal(0, 4), kernel_size=2)],
        of_height_1(lambda x, **options: ref.max_pool2d(x, *max_options(**options))[0]),
    ),
    line_op(
        "avg_pool1d", normal,
        [*EVERY_LINE, ("uncounted", (2, 2, 9), {"kernel_size": 3, "stride": 2, "padding": 1,
                                                "count_include_pad": False})],
        line_errors("avg_pool1d"),
        of_height_1(lambda x, **options: ref.avg_pool2d(x, *avg_options(**options))),
    ),
    line_op("adaptive_max_pool1d", spaced,
            [*EVERY_SIZE, ("indices", (2, 3, 8), {"output_size": 3, "return_indices": True})],
            [NO_SIZE], of_height_1(adaptive_max)),
    line_op("adaptive_avg_pool1d", normal, EVERY_SIZE, [NO_SIZE],
            of_height_1(ref.adaptive_avg_pool2d)),
    Op(
        "interpolate",
        [
            *(
                sample(f"{mode}-{name}", normal(1, 2, *shape), mode=mode, **options)
                for mode, shape in (
                    ("nearest", (5, 4)), ("nearest-exact", (5,)), ("area", (5, 4)),
                    ("linear", (5,)), ("bilinear", (5, 4)), ("bicubic", (5, 4)),
                    ("trilinear", (2, 3, 2)),
                )
                for name, options in (
                    ("larger", {"size": 7}), ("smaller", {"size": 2}),
                    ("factor", {"scale_factor": 1.7}),
                )
            ),
            *(
                sample(f"{mode}-corners", normal(2, 1, *[4] * dims), size=6, mode=mode,
                       align_corners=True)
                for dims, mode in enumerate(("linear", "bilinear", "trilinear"), 1)
            ),
            sample("cubic-corners", normal(1, 1, 3, 4), size=7, mode="bicubic", align_corners=True),
            sample("factor-of-sizes", normal(1, 1, 5, 4), scale_factor=1.7, mode="bilinear",
                   recompute_scale_factor=True),
            sample("sizes", normal(2, 3, 5, 4), size=(7, 3), mode="bilinear"),
            sample("factors", normal(2, 3, 5, 4), scale_factor=(2, 0.5)),
            sample("one-pixel", normal(1, 1, 3, 3), size=1, mode="bilinear", align_corners=True),
            sample("empty", normal(0, 2, 3, 3), size=5, mode="bilinear"),
            sample("scattered", normal(2, 3, 5, 4).scattered, size=8, mode="bilinear"),
        ],
        [
            error("mode", NotImplementedError, "'linear' is not for an input", normal(1, 1, 4, 4),
                  size=2, mode="linear"),
            error("antialias", NotImplementedError, "antialias", normal(1, 1, 4, 4), size=2,
                  mode="bilinear", antialias=True),
            error("corners", ValueError, "not an option of mode 'nearest'", normal(1, 1, 4), size=2,
                  align_corners=False),
            error("neither", ValueError, "either size or scale_factor", normal(1, 1, 4)),
            error("both", ValueError, "either size or scale_factor", normal(1, 1, 4), size=2,
                  scale_factor=2),
            error("number", ValueError, r"one number or 2, got \(1, 2, 3\)", normal(1, 1, 4, 4),
                  size=(1, 2, 3)),
            error("nothing", ValueError, "a size of 4 cannot become 0", normal(1, 1, 4),
                  scale_factor=0.1),
            error("whole", RuntimeError, "floating point tensor", integers(0, 3, 1, 1, 4), size=2,
                  mode="linear"),
        ],
    ),
]
