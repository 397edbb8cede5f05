"""Images innermost: any order of memory goes in, and the results are the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minigrad.kernels import cpu
from minigrad.kernels.cpu import layout

rng = np.random.default_rng(2012)
PAD = (1, 1, 1, 1)
WINDOW = ((3, 3), (2, 2), PAD)
WEIGHTS = rng.standard_normal((6, 5, 3, 3)).astype(np.float32)
STATS = rng.random((2, 5)).astype(np.float32)
KERNELS = {
    "conv2d": lambda x: cpu.conv2d(x, WEIGHTS, None, (1, 1), PAD, (1, 1), 1),
    "conv2d_strided": lambda x: cpu.conv2d(x, WEIGHTS, None, (2, 2), PAD, (1, 1), 1),
    "conv2d_backward_input": lambda x: cpu.conv2d_backward_input(
        x[:, :, :8, :9], WEIGHTS.swapaxes(0, 1), (len(x), 6, 16, 18), (2, 2), PAD, (1, 1), 1
    ),
    "conv2d_backward_weight": lambda x: cpu.conv2d_backward_weight(
        x, x, (5, 5, 3, 3), (1, 1), PAD, (1, 1), 1
    ),
    "max_pool2d": lambda x: cpu.max_pool2d(x, *WINDOW, (1, 1), False)[0],
    "max_pool2d_codes": lambda x: cpu.max_pool2d(x, *WINDOW, (1, 1), False)[1],
    "avg_pool2d": lambda x: cpu.avg_pool2d(x, *WINDOW, False, True, None),
    "local_response_norm": lambda x: cpu.local_response_norm(x, 5, 1e-2, 0.75, 1.0),
    "batch_norm": lambda x: cpu.batch_norm(x, *STATS, None, None),
    "batch_norm_stats": lambda x: cpu.batch_norm_stats(x)[1],
    "relu": cpu.relu,
    "sum_over_channels": cpu.sum_over_channels,
}
SUMS = {"batch_norm_stats", "sum_over_channels", "conv2d_backward_weight"}


def maps(*shape: int) -> np.ndarray:
    """Random maps in the order of their axes."""
    return rng.standard_normal(shape).astype(np.float32)


def innermost(x: np.ndarray) -> np.ndarray:
    y = layout.empty_maps(x.shape, x.dtype)
    y[...] = x
    return y


@pytest.mark.parametrize("images", [1, 3, 40])
@pytest.mark.parametrize("name", KERNELS)
def test_the_order_of_memory_does_not_matter(name: str, images: int) -> None:
    x = maps(images, 5, 16, 18)
    plain = KERNELS[name](x)
    for other in (innermost(x), x[::-1, ::-1].copy()[::-1, ::-1]):
        result = KERNELS[name](other)
        assert result.shape == plain.shape
        np.testing.assert_allclose(result, plain, rtol=1e-5, atol=1e-3 if name in SUMS else 1e-5)


@pytest.mark.parametrize("name", sorted(KERNELS.keys() - SUMS))
def test_results_have_their_images_innermost(name: str) -> None:
    assert layout.images_last(KERNELS[name](innermost(maps(40, 5, 16, 18)))).flags.c_contiguous


def test_elementwise_kernels_keep_the_order_they_are_given() -> None:
    for shape in ((40, 5, 16, 18), (2, 3, 4, 5)):  # in blocks and threads, and too small for them
        plain, inner = maps(*shape), innermost(maps(*shape))
        for kernel in (cpu.relu, cpu.exp, lambda x: cpu.sigmoid_backward(x, x)):
            assert kernel(plain).flags.c_contiguous
            assert layout.images_last(kernel(inner)).flags.c_contiguous
        np.testing.assert_array_equal(cpu.add(plain, inner), plain + inner)
        y = cpu.relu(inner)
        np.testing.assert_array_equal(cpu.relu_backward(plain, y), plain * (inner > 0))
        assert cpu.copy(inner).flags.c_contiguous


@pytest.mark.parametrize("top", [-9, -2, 0, 3, 9])
@pytest.mark.parametrize("left", [-9, -1, 0, 2])
@pytest.mark.parametrize("size", [(3, 2), (6, 7), (12, 9)])
def test_region_is_what_padding_and_slicing_give(top: int, left: int, size: Any) -> None:
    x, far = maps(2, 6, 7, 3), 20
    whole = np.pad(x, ((0, 0), (far, far), (far, far), (0, 0)), constant_values=5)
    expected = whole[:, far - top :, far - left :][:, : size[0], : size[1]]
    np.testing.assert_array_equal(layout.region(x, top, left, *size, fill=5), expected)
