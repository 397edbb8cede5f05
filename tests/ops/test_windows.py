"""Windows of every kind: random sizes, kernels, strides, paddings, dilations and groups.

The samples of the table are chosen; these are not. And: an image alone is a batch of one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.ops.checks import against_torch
from tests.ops.samples import Op, Sample, generator, normal, sample, spaced

EACH = 25


def pair(rng: np.random.Generator, low: int, high: int) -> tuple[int, int]:
    return int(rng.integers(low, high)), int(rng.integers(low, high))


def image(rng: np.random.Generator, kernel: Any, padding: Any, dilation: Any) -> tuple[int, ...]:
    """H and W, at least as large as a window needs."""
    return tuple(
        max(1, d * (k - 1) + 1 - 2 * p) + int(rng.integers(0, 9))
        for k, p, d in zip(kernel, padding, dilation, strict=True)
    )


def conv2d(rng: np.random.Generator) -> Sample:
    groups, n = int(rng.choice([1, 1, 2, 3])), int(rng.integers(1, 4))
    c, o = groups * int(rng.integers(1, 4)), groups * int(rng.integers(1, 4))
    kernel, stride, dilation = pair(rng, 1, 6), pair(rng, 1, 4), pair(rng, 1, 3)
    padding = pair(rng, 0, 4)
    x = normal(n, c, *image(rng, kernel, padding, dilation))
    b = normal(o) if rng.random() < 0.5 else None
    return sample("random", x.scattered if rng.random() < 0.3 else x,
                  normal(o, c // groups, *kernel), b,
                  stride=stride, padding=padding, dilation=dilation, groups=groups)


def square(rng: np.random.Generator) -> Sample:
    """The convolutions of real networks: 3x3 and 5x5 at stride 1."""
    kernel = int(rng.choice([3, 5]))
    padding = (int(rng.integers(0, kernel)),) * 2
    n, c, o = (int(rng.integers(1, 7)) for _ in range(3))
    h, w = image(rng, (kernel, kernel), padding, (1, 1))
    return sample("random", normal(n, c, h, w), normal(o, c, kernel, kernel), padding=padding)


def unfold(rng: np.random.Generator) -> Sample:
    kernel, stride, dilation = pair(rng, 1, 5), pair(rng, 1, 4), pair(rng, 1, 3)
    padding = pair(rng, 0, 3)
    x = normal(2, 3, *image(rng, kernel, padding, dilation))
    return sample("random", x, kernel_size=kernel, stride=stride, padding=padding,
                  dilation=dilation)


def max_pool2d(rng: np.random.Generator) -> Sample:
    kernel, stride, dilation = pair(rng, 1, 6), pair(rng, 1, 5), pair(rng, 1, 3)
    padding = tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel)
    x = spaced(2, 3, *image(rng, kernel, padding, dilation))
    return sample("random", x, kernel_size=kernel, stride=stride, padding=padding,
                  dilation=dilation, ceil_mode=bool(rng.random() < 0.5), return_indices=True)


def avg_pool2d(rng: np.random.Generator) -> Sample:
    kernel, stride = pair(rng, 1, 6), pair(rng, 1, 5)
    padding = tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel)
    x = normal(2, 3, *image(rng, kernel, padding, (1, 1)))
    return sample("random", x, kernel_size=kernel, stride=stride, padding=padding,
                  ceil_mode=bool(rng.random() < 0.5), count_include_pad=bool(rng.random() < 0.5))


def adaptive_avg_pool2d(rng: np.random.Generator) -> Sample:
    return sample("random", normal(2, 3, *pair(rng, 1, 12)), output_size=pair(rng, 1, 9))


def local_response_norm(rng: np.random.Generator) -> Sample:
    x = normal(2, int(rng.integers(1, 12)), *pair(rng, 1, 5))
    return sample("random", x, size=int(rng.integers(1, 10)), alpha=float(rng.uniform(0.5, 3)),
                  beta=float(rng.choice([0.5, 0.75, 1.0, 0.6])), k=float(rng.uniform(0.5, 2)))


KINDS = {
    "conv2d": conv2d, "conv2d-square": square, "unfold": unfold, "max_pool2d": max_pool2d,
    "avg_pool2d": avg_pool2d, "adaptive_avg_pool2d": adaptive_avg_pool2d,
    "local_response_norm": local_response_norm,
}


@pytest.mark.parametrize("kind", KINDS)
def test_random_windows(kind: str, device: str) -> None:
    for number in range(EACH):
        case = KINDS[kind](generator(f"{kind} {number}"))
        op = Op(kind.partition("-")[0], [case])
        try:
            against_torch(op, case, device, "float64")
        except AssertionError as error:
            error.add_note(f"number {number}: {case.options}")
            raise


ALONE = {
    "conv2d": sample("image", normal(3, 6, 5), normal(4, 3, 3, 2), normal(4), padding=1),
    "unfold": sample("image", normal(3, 6, 5), kernel_size=2),
    "fold": sample("image", normal(8, 12), output_size=(4, 5), kernel_size=2),
    "max_pool2d": sample("image", spaced(3, 6, 5), kernel_size=2, return_indices=True),
    "avg_pool2d": sample("image", normal(3, 6, 5), kernel_size=2),
    "adaptive_avg_pool2d": sample("image", normal(3, 6, 5), output_size=2),
}


@pytest.mark.parametrize("name", ALONE)
def test_one_image_without_a_batch(name: str, device: str) -> None:
    case = ALONE[name]
    against_torch(Op(name, [case]), case, device, "float64")
