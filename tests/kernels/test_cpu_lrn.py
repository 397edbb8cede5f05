"""CPU local response normalisation against the reference loops and against PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from minigrad.kernels import reference
from minigrad.kernels.cpu import layout, lrn

rng = np.random.default_rng(2012)
TOLERANCE = {np.float32: 1e-5, np.float64: 1e-12}
OPTIONS = (5, 0.9, 0.75, 1.5)


def normal(*shape: int, dtype: Any = np.float64) -> np.ndarray:
    return rng.standard_normal(shape).astype(dtype)


def close(ours: np.ndarray, theirs: Any, tolerance: float = 1e-12) -> None:
    theirs = np.asarray(theirs.detach() if isinstance(theirs, torch.Tensor) else theirs)
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 9])
@pytest.mark.parametrize("channels", [1, 3, 12])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_against_pytorch(size: int, channels: int, dtype: Any) -> None:
    """A large alpha: with PyTorch's default a wrong window would go unnoticed."""
    x, g = normal(2, channels, 4, 3, dtype=dtype), normal(2, channels, 4, 3, dtype=dtype)
    before = x.copy(), g.copy()
    for beta in (0.5, 0.6, 0.75, 1.0):
        options = (size, 0.9, beta, 1.5)
        t = torch.tensor(x, requires_grad=True)
        expected = F.local_response_norm(t, *options)
        close(lrn.local_response_norm(x, *options), expected, TOLERANCE[dtype])
        gx = lrn.local_response_norm_backward(g, x, *options)
        (theirs,) = torch.autograd.grad(expected, t, torch.tensor(g))
        close(gx, theirs, TOLERANCE[dtype])
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(g, before[1])


@pytest.mark.parametrize("shape", [(2, 6), (2, 6, 5), (3, 6, 4, 5), (1, 7, 2, 3, 4)])
@pytest.mark.parametrize("cache_bytes", [1 << 20, 1 << 10, 1])
def test_in_blocks_of_any_size(
    shape: tuple[int, ...], cache_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "L2_BYTES", cache_bytes)
    x, g = normal(*shape), normal(*shape)
    for size in (1, 4, 5):
        options = (size, 0.9, 0.75, 1.5)
        close(lrn.local_response_norm(x, *options), reference.local_response_norm(x, *options))
        expected = reference.local_response_norm_backward(g, x, *options)
        close(lrn.local_response_norm_backward(g, x, *options), expected)


@pytest.mark.parametrize("shape", [(0, 3, 4, 4), (2, 0, 4, 4), (2, 3, 0, 4)])
def test_of_nothing(shape: tuple[int, ...]) -> None:
    x = np.zeros(shape)
    assert lrn.local_response_norm(x, *OPTIONS).shape == shape
    assert lrn.local_response_norm_backward(x, x, *OPTIONS).shape == shape


def test_of_strided_arrays() -> None:
    x, g = normal(4, 12, 5, 6)[::2, ::-2], normal(6, 5, 6, 2).transpose()
    close(lrn.local_response_norm(x, *OPTIONS), reference.local_response_norm(x, *OPTIONS))
    expected = reference.local_response_norm_backward(g, x, *OPTIONS)
    close(lrn.local_response_norm_backward(g, x, *OPTIONS), expected)


@pytest.mark.parametrize("size", [4, 5])
@pytest.mark.parametrize("beta", [0.5, 0.6, 0.75, 1.0])
def test_complex_step(size: int, beta: float) -> None:
    """The imaginary part of f(x + ih v) / h is the derivative along v, to the last digit."""
    x, v, g = normal(2, 7, 3, 2), normal(2, 7, 3, 2), normal(2, 7, 3, 2)
    options = (size, 0.9, beta, 1.5)
    y = lrn.local_response_norm(x + 1e-20j * v, *options)
    close(y.real, lrn.local_response_norm(x, *options))
    gx = lrn.local_response_norm_backward(g, x, *options)
    np.testing.assert_allclose((g * y.imag / 1e-20).sum(), (gx * v).sum(), rtol=1e-12)


@pytest.mark.parametrize("value", [np.inf, np.nan, 1e30])
def test_what_is_not_finite_stays_in_its_windows(value: float) -> None:
    x, g = normal(2, 30, 3, 2, dtype=np.float32), normal(2, 30, 3, 2, dtype=np.float32)
    x[1, 17, 2, 1] = value
    t = torch.tensor(x, requires_grad=True)
    expected = F.local_response_norm(t, *OPTIONS)
    close(lrn.local_response_norm(x, *OPTIONS), expected, 1e-5)
    (theirs,) = torch.autograd.grad(expected, t, torch.tensor(g))
    close(lrn.local_response_norm_backward(g, x, *OPTIONS), theirs, 1e-5)
