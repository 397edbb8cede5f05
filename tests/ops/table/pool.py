"""One number for each window, the largest or the mean; windows overlap, hang over, leave gaps."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.kernels import reference as ref
from tests.ops.samples import Op, error, normal, sample, spaced
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
        unreferenced=("blocks",),
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
            error("size", RuntimeError, "must not be empty", normal(1, 1, 4, 4), output_size=0),
            error("dims", RuntimeError, r"\[adaptive_avg_pool2d\] expects images", normal(4, 4),
                  output_size=2),
        ],
        reference=lambda x, output_size: ref.adaptive_avg_pool2d(x, adaptive_size(x, output_size)),
        reference_backward=lambda g, x, output_size: (
            ref.adaptive_avg_pool2d_backward(g, x.shape),
        ),
    ),
]
