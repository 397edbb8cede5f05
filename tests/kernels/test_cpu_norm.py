"""CPU batch normalisation against the reference loops and against PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from minigrad.kernels import reference
from minigrad.kernels.cpu import layout, norm

rng = np.random.default_rng(2012)
EPS = 1e-5
TOLERANCE = {np.float32: 1e-5, np.float64: 1e-12}
SHAPES = [(4, 3, 5, 6), (1, 2, 3), (7, 5), (3, 4, 1, 1), (2, 1, 4, 4)]


def normal(*shape: int, dtype: Any = np.float64) -> np.ndarray:
    return rng.standard_normal(shape).astype(dtype)


def close(ours: np.ndarray, theirs: Any, tolerance: float = 1e-12) -> None:
    theirs = np.asarray(theirs.detach() if isinstance(theirs, torch.Tensor) else theirs)
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


def statistics(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    mean, var = norm.batch_norm_stats(x)
    return mean, var, 1 / np.sqrt(var + EPS)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_against_pytorch(shape: tuple[int, ...], affine: bool, dtype: Any) -> None:
    x, g = normal(*shape, dtype=dtype) * 3 + 2, normal(*shape, dtype=dtype)
    x, tolerance, channels = x.astype(dtype), TOLERANCE[dtype], shape[1]
    w, b = normal(2, channels, dtype=dtype) if affine else (None, None)
    before = x.copy(), g.copy()
    mean, var, invstd = statistics(x)
    others = tuple(axis for axis in range(x.ndim) if axis != 1)
    expected_var, expected_mean = torch.var_mean(torch.tensor(x), others, correction=0)
    close(mean, expected_mean, tolerance)
    close(var, expected_var, tolerance)

    ones, zeros = np.ones(channels, dtype), np.zeros(channels, dtype)
    arrays = x, *((w, b) if affine else (ones, zeros))
    leaves = [torch.tensor(array, requires_grad=True) for array in arrays]
    for training in (True, False):
        given = (None, None) if training else (torch.tensor(mean), torch.tensor(var))
        expected = F.batch_norm(leaves[0], *given, *leaves[1:], training, eps=EPS)
        close(norm.batch_norm(x, mean, invstd, w, b), expected, tolerance)
        theirs = torch.autograd.grad(expected, leaves, torch.tensor(g))
        ours = norm.batch_norm_backward(g, x, mean, invstd, w, training)
        for one, other in zip(ours, theirs, strict=True):
            close(one, other, 3 * tolerance)
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(g, before[1])


@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_statistics_of_many_float32_numbers(offset: float) -> None:
    """73,728 numbers a channel, and a mean a thousand times the deviation."""
    x = (normal(32, 2, 48, 48) + offset).astype(np.float32)
    mean, var = norm.batch_norm_stats(x)
    exact = x.astype(np.float64)
    np.testing.assert_allclose(mean, exact.mean((0, 2, 3)), rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(var, exact.var((0, 2, 3)), rtol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_one_channel_at_a_time(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "L2_BYTES", 1)
    x, g, w, b = normal(*shape), normal(*shape), normal(shape[1]), normal(shape[1])
    mean, var, invstd = statistics(x)
    for ours, theirs in zip((mean, var), reference.batch_norm_stats(x), strict=True):
        close(ours, theirs)
    close(norm.batch_norm(x, mean, invstd, w, b), reference.batch_norm(x, mean, invstd, w, b))
    for training in (True, False):
        ours = norm.batch_norm_backward(g, x, mean, invstd, w, training)
        theirs = reference.batch_norm_backward(g, x, mean, invstd, w, training)
        for one, other in zip(ours, theirs, strict=True):
            close(one, other)


def test_of_nothing() -> None:
    x = np.zeros((0, 3, 4, 4))
    mean, var, invstd = statistics(x)
    np.testing.assert_array_equal([mean, var], 0)
    assert norm.batch_norm(x, mean, invstd, None, None).shape == x.shape
    gx, gw, gb = norm.batch_norm_backward(x, x, mean, invstd, None, True)
    assert gx.shape == x.shape
    np.testing.assert_array_equal([gw, gb], 0)


def test_of_strided_arrays() -> None:
    x, g = normal(4, 6, 5, 6)[::2, ::-2], normal(6, 5, 3, 2).transpose()
    mean, var, invstd = statistics(x)
    for ours, theirs in zip((mean, var), reference.batch_norm_stats(x), strict=True):
        close(ours, theirs)
    expected = reference.batch_norm(x, mean, invstd, None, None)
    close(norm.batch_norm(x, mean, invstd, None, None), expected)
    ours = norm.batch_norm_backward(g, x, mean, invstd, None, True)
    theirs = reference.batch_norm_backward(g, x, mean, invstd, None, True)
    for one, other in zip(ours, theirs, strict=True):
        close(one, other)


@pytest.mark.parametrize("training", [False, True])
def test_complex_step(training: bool) -> None:
    """In training through the statistics: the variance squares, it takes no absolute value."""
    shape = (3, 2, 4, 3)
    x, g, w, b = normal(*shape), normal(*shape), normal(2), normal(2)
    dx, dw, db = normal(*shape), normal(2), normal(2)
    moved = x + 1e-20j * dx
    mean, _, invstd = statistics(x)
    moved_mean, _, moved_invstd = statistics(moved) if training else (mean, None, invstd)
    y = norm.batch_norm(moved, moved_mean, moved_invstd, w + 1e-20j * dw, b + 1e-20j * db)
    close(y.real, norm.batch_norm(x, mean, invstd, w, b))
    gx, gw, gb = norm.batch_norm_backward(g, x, mean, invstd, w, training)
    along = (gx * dx).sum() + (gw * dw).sum() + (gb * db).sum()
    np.testing.assert_allclose((g * y.imag / 1e-20).sum(), along, rtol=1e-11)
