"""CPU pooling against the reference loops and against PyTorch."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from minigrad.kernels import geometry, reference
from minigrad.kernels.cpu import layout, pool

rng = np.random.default_rng(2012)
TOLERANCE = {
    np.dtype(np.float32): {"rtol": 1e-5, "atol": 1e-5},
    np.dtype(np.float64): {"rtol": 1e-12, "atol": 1e-12},
}
KERNELS = [(1, 1), (2, 2), (3, 3), (2, 3), (5, 1)]
STRIDES = [(1, 1), (2, 2), (3, 2), (4, 5)]
IMAGES = [((7, 9), np.float32), ((12, 8), np.float64)]
NO_PAD = (0, 0, 0, 0)


def samples(*shape: int, dtype: Any = np.float64) -> np.ndarray:
    """Small integers: plenty of ties."""
    return rng.integers(-3, 4, shape).astype(dtype)


def close(ours: np.ndarray, theirs: Any) -> None:
    theirs = np.asarray(theirs.detach() if isinstance(theirs, torch.Tensor) else theirs)
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours, theirs, **TOLERANCE.get(ours.dtype, {}))


@pytest.fixture
def plane_by_plane(monkeypatch: pytest.MonkeyPatch) -> None:
    """No two planes share a block."""
    monkeypatch.setattr(layout, "L2_BYTES", 1)


# --------------------------------------------------------------------------------------- maximum


def check_max(
    x: np.ndarray, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> None:
    """Values, codes and gradient, with PyTorch's places of the maxima."""
    pad = geometry.both_sides(padding)
    t = torch.tensor(x, requires_grad=True)
    expected, places = F.max_pool2d(t, kernel, stride, padding, dilation, ceil_mode, True)
    before = x.copy()
    y, code = pool.max_pool2d(x, kernel, stride, pad, dilation, ceil_mode)
    alone, nothing = pool.max_pool2d(x, kernel, stride, pad, dilation, ceil_mode, need_code=False)
    close(y, expected)
    np.testing.assert_array_equal(alone, y)
    assert nothing is None
    assert code is not None and code.dtype == np.uint8

    oh, ow = np.indices(y.shape[2:])
    rows = oh * stride[0] - padding[0] + code // kernel[1] * dilation[0]
    columns = ow * stride[1] - padding[1] + code % kernel[1] * dilation[1]
    np.testing.assert_array_equal(rows * x.shape[3] + columns, places.numpy())

    g = rng.standard_normal(y.shape).astype(x.dtype)
    gx = pool.max_pool2d_backward(g, code, x.shape, kernel, stride, pad, dilation)
    close(gx, torch.autograd.grad(expected, t, torch.tensor(g))[0])
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("N", [1, 3, 15, 16])
@pytest.mark.parametrize("H", [9, 40])
@pytest.mark.parametrize("W", [2, 20, 47])
def test_max_of_short_runs_and_long(N: int, H: int, W: int) -> None:
    """Where runs along rows or down columns are short, the windows slide over one line."""
    for kernel, stride in ((2, 2), (2, 1), (3, 2), (1, 2)):
        padding, size = kernel // 2, (kernel, kernel)
        check_max(samples(N, 2, H, W), size, (stride, stride), (padding, padding), (1, 1), False)



@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("stride", STRIDES)
def test_max_pool2d(kernel: Any, stride: Any) -> None:
    paddings = {(0, 0), (kernel[0] // 2, 0), (kernel[0] // 2, kernel[1] // 2)}
    compared = 0
    for padding, dilation, ceil_mode, (image, dtype) in itertools.product(
        sorted(paddings), [(1, 1), (2, 3)], [False, True], IMAGES
    ):
        pad = geometry.both_sides(padding)
        out = geometry.output_shape(image, kernel, stride, pad, dilation, ceil_mode)
        if min(out) < 1:
            continue
        check_max(samples(2, 3, *image, dtype=dtype), kernel, stride, padding, dilation, ceil_mode)
        compared += 1
    assert compared >= 8


@pytest.mark.parametrize("shape", [(0, 3, 6, 6), (1, 1, 6, 6), (3, 0, 6, 6), (3, 5, 6, 6)])
def test_max_pool2d_of_any_batch(shape: tuple[int, ...]) -> None:
    options = ((3, 3), (2, 2), (1, 1, 1, 1), (1, 1))
    x = samples(*shape)
    y, code = pool.max_pool2d(x, *options, False)
    assert y.shape == (*shape[:2], 3, 3)
    gx = pool.max_pool2d_backward(np.ones_like(y), code, shape, *options)
    assert gx.shape == shape
    assert gx.sum() == y.size


def test_max_pool2d_of_the_whole_image() -> None:
    check_max(samples(2, 3, 5, 7), (5, 7), (5, 7), (0, 0), (1, 1), False)
    check_max(samples(2, 3, 5, 7), (5, 7), (1, 1), (0, 0), (1, 1), False)


def test_max_pool2d_pads_each_side_by_its_own() -> None:
    x, options = samples(2, 3, 6, 7), ((3, 2), (2, 1), (1, 0, 0, 1), (1, 1))
    y, code = pool.max_pool2d(x, *options, False)
    expected, expected_code = reference.max_pool2d(x, *options, False)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(code, expected_code)
    g = rng.standard_normal(y.shape)
    expected = reference.max_pool2d_backward(g, code, x.shape, *options)
    close(pool.max_pool2d_backward(g, code, x.shape, *options), expected)


@pytest.mark.usefixtures("plane_by_plane")
def test_pools_in_many_blocks() -> None:
    for padding, image in itertools.product([(0, 0), (1, 1)], [(7, 9), (8, 8)]):
        x = samples(3, 5, *image)
        check_max(x, (3, 3), (2, 2), padding, (1, 1), False)
        check_avg(x, (3, 3), (2, 2), padding, False, True, None)


def test_max_pool2d_ties_go_to_the_first() -> None:
    _, code = pool.max_pool2d(np.zeros((1, 1, 4, 4)), (2, 2), (2, 2), NO_PAD, (1, 1), False)
    np.testing.assert_array_equal(code, 0)
    x = np.array([[1.0, 2.0, 2.0], [2.0, 1.0, 2.0], [2.0, 2.0, 2.0]])[None, None]
    _, code = pool.max_pool2d(x, (3, 3), (1, 1), NO_PAD, (1, 1), False)
    assert code.item() == 1


def test_max_pool2d_with_infinities_and_nan() -> None:
    x = samples(2, 2, 8, 8)
    x[0, 0] = -np.inf
    x[0, 1, :2] = np.inf
    x[1, 0, 3, 2:6] = np.nan
    x[1, 1, 7, 7] = np.nan
    for kernel, stride, padding in [((3, 3), (2, 2), (1, 1)), ((2, 2), (2, 2), (0, 0))]:
        check_max(x, kernel, stride, padding, (1, 1), False)


def test_max_pool2d_backward_keeps_infinities_to_themselves() -> None:
    x, options = samples(1, 1, 6, 6), ((3, 3), (2, 2), (1, 1, 1, 1), (1, 1))
    y, code = pool.max_pool2d(x, *options, False)
    g = np.ones_like(y)
    g[0, 0, 1, 1] = np.inf
    gx = pool.max_pool2d_backward(g, code, x.shape, *options)
    assert np.isinf(gx).sum() == 1
    assert not np.isnan(gx).any()


def test_max_pool2d_of_more_than_256_taps() -> None:
    x, options = samples(1, 2, 20, 20), ((17, 16), (1, 1), NO_PAD, (1, 1))
    x[0, :, 18, 15] = 9
    y, code = pool.max_pool2d(x, *options, False)
    expected, expected_code = reference.max_pool2d(x, *options, False)
    assert code.dtype == expected_code.dtype == np.uint16
    assert code.max() > 255
    np.testing.assert_array_equal(code, expected_code)
    g = rng.standard_normal(y.shape)
    expected = reference.max_pool2d_backward(g, code, x.shape, *options)
    close(pool.max_pool2d_backward(g, code, x.shape, *options), expected)


@pytest.mark.parametrize("dtype", [np.int64, np.uint8])
def test_max_pool2d_of_other_dtypes(dtype: Any) -> None:
    x = rng.integers(0, 5, (2, 3, 7, 7)).astype(dtype)
    options = ((3, 3), (2, 2), (1, 1, 1, 1), (1, 1))
    y, code = pool.max_pool2d(x, *options, False)
    expected, expected_code = reference.max_pool2d(x, *options, False)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(code, expected_code)


def test_max_pool2d_of_strided_arrays() -> None:
    whole = samples(4, 9, 8, 10)
    x = whole[::2, 1:7:2, :, ::-1].transpose(0, 1, 3, 2)
    options = ((3, 3), (2, 2), NO_PAD, (1, 1))
    y, code = pool.max_pool2d(x, *options, False)
    for ours, theirs in zip((y, code), reference.max_pool2d(x, *options, False), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    g = rng.standard_normal(y.shape[::-1]).transpose()
    expected = reference.max_pool2d_backward(g, code, x.shape, *options)
    close(pool.max_pool2d_backward(g, code, x.shape, *options), expected)


# --------------------------------------------------------------------------------------- average


def check_avg(x: np.ndarray, kernel: Any, stride: Any, padding: Any, *rest: Any) -> None:
    t = torch.tensor(x, requires_grad=True)
    expected = F.avg_pool2d(t, kernel, stride, padding, *rest)
    options = (kernel, stride, geometry.both_sides(padding), *rest)
    before = x.copy()
    y = pool.avg_pool2d(x, *options)
    close(y, expected)
    g = rng.standard_normal(y.shape).astype(x.dtype)
    gx = pool.avg_pool2d_backward(g, x.shape, *options)
    close(gx, torch.autograd.grad(expected, t, torch.tensor(g))[0])
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("stride", STRIDES)
@pytest.mark.parametrize("rest", [(False, None), (True, None), (True, 3)])
def test_avg_pool2d(kernel: Any, stride: Any, rest: Any) -> None:
    paddings = {(0, 0), (kernel[0] // 2, 0), (kernel[0] // 2, kernel[1] // 2)}
    for padding, ceil_mode, (image, dtype) in itertools.product(
        sorted(paddings), [False, True], IMAGES
    ):
        x = rng.standard_normal((2, 3, *image)).astype(dtype)
        check_avg(x, kernel, stride, padding, ceil_mode, *rest)


def test_avg_pool2d_pads_each_side_by_its_own() -> None:
    x = samples(2, 3, 6, 7)
    for count_include_pad in (False, True):
        options = ((3, 2), (2, 1), (1, 0, 0, 1), True, count_include_pad, None)
        y = pool.avg_pool2d(x, *options)
        close(y, reference.avg_pool2d(x, *options))
        g = rng.standard_normal(y.shape)
        expected = reference.avg_pool2d_backward(g, x.shape, *options)
        close(pool.avg_pool2d_backward(g, x.shape, *options), expected)


@pytest.mark.parametrize("size", [(1, 1), (3, 4), (5, 7), (9, 2), (6, 8), (2, 4)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_adaptive_avg_pool2d(size: Any, dtype: Any) -> None:
    x = rng.standard_normal((2, 3, 6, 8)).astype(dtype)
    t = torch.tensor(x, requires_grad=True)
    expected = F.adaptive_avg_pool2d(t, size)
    close(pool.adaptive_avg_pool2d(x, size), expected)
    g = rng.standard_normal(expected.shape).astype(dtype)
    gx = pool.adaptive_avg_pool2d_backward(g, x.shape)
    close(gx, torch.autograd.grad(expected, t, torch.tensor(g))[0])


def average_kernels(shape: tuple[int, ...]) -> list[tuple[Any, Any]]:
    """(forward, backward) of each average over images of one shape."""
    options = ((3, 2), (2, 2), (1, 1, 1, 1), False, False, None)
    return [
        (
            lambda x: pool.avg_pool2d(x, *options),
            lambda g: pool.avg_pool2d_backward(g, shape, *options),
        ),
        *(
            (
                lambda x, size=size: pool.adaptive_avg_pool2d(x, size),
                lambda g: pool.adaptive_avg_pool2d_backward(g, shape),
            )
            for size in [(1, 1), (2, 3), (4, 5)]
        ),
    ]


@pytest.mark.parametrize("which", range(4))
def test_averages_of_an_empty_batch(which: int) -> None:
    forward, backward = average_kernels((0, 3, 6, 6))[which]
    y = forward(np.zeros((0, 3, 6, 6)))
    assert y.shape[:2] == (0, 3)
    assert backward(y).shape == (0, 3, 6, 6)


@pytest.mark.parametrize("which", range(4))
def test_averages_of_strided_arrays(which: int) -> None:
    x = samples(4, 6, 7, 6)[::2, ::-2].transpose(0, 1, 3, 2)
    forward, backward = average_kernels(x.shape)[which]
    y = forward(x)
    close(y, forward(x.copy()))
    g = rng.standard_normal(y.shape[::-1]).transpose()
    close(backward(g), backward(g.copy()))


@pytest.mark.parametrize("which", range(4))
def test_averages_are_linear_in_complex_numbers_too(which: int) -> None:
    """What the complex step of the gradient checker needs."""
    x, direction = samples(2, 3, 6, 7), samples(2, 3, 6, 7)
    forward, backward = average_kernels(x.shape)[which]
    y = forward(x + 1e-20j * direction)
    close(y.real, forward(x))
    close(y.imag / 1e-20, forward(direction))
    g = rng.standard_normal(y.shape)
    np.testing.assert_allclose((g * forward(direction)).sum(), (backward(g) * direction).sum())
