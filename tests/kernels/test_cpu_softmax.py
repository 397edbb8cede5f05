"""CPU softmax and log-softmax against the reference loops and against PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from minigrad.kernels import cpu, reference

rng = np.random.default_rng(2012)
TOLERANCE = {np.float32: 2e-6, np.float64: 1e-12}
NAMES = ["softmax", "log_softmax"]


def normal(*shape: int, dtype: Any = np.float64) -> np.ndarray:
    return rng.standard_normal(shape).astype(dtype)


def close(ours: np.ndarray, theirs: Any, tolerance: float = 1e-12) -> None:
    theirs = np.asarray(theirs.detach() if isinstance(theirs, torch.Tensor) else theirs)
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("shape", "axis"),
    [((5,), 0), ((4, 10), 1), ((4, 10), 0), ((2, 3, 4, 5), 1), ((2, 3, 4, 5), -1), ((3, 1), 1),
     ((0, 5), 1), ((3, 0), 1), ((2, 64, 32, 33), 1)],
)  # fmt: skip
def test_against_pytorch(name: str, shape: tuple[int, ...], axis: int, dtype: Any) -> None:
    x, g = normal(*shape, dtype=dtype) * dtype(5), normal(*shape, dtype=dtype)
    before = x.copy(), g.copy()
    t = torch.tensor(x, requires_grad=True)
    expected = getattr(F, name)(t, axis)
    y = getattr(cpu, name)(x, axis)
    close(y, expected, TOLERANCE[dtype])
    (theirs,) = torch.autograd.grad(expected, t, torch.tensor(g))
    gx = getattr(cpu, name + "_backward")(g, y, axis)
    close(gx, theirs, 5 * TOLERANCE[dtype])
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(g, before[1])


@pytest.mark.parametrize("name", NAMES)
def test_large_numbers_and_infinities(name: str) -> None:
    x = np.array([[1e4, 0, -1e4], [-np.inf, 0, 1], [-np.inf] * 3, [np.inf, 0, 0], [np.nan, 0, 0]])
    for dtype in (np.float32, np.float64):
        y = getattr(cpu, name)(x.astype(dtype), 1)
        close(y, getattr(F, name)(torch.tensor(x.astype(dtype)), 1), TOLERANCE[dtype])


@pytest.mark.parametrize("name", NAMES)
def test_of_strided_arrays(name: str) -> None:
    x, g = normal(6, 5, 4)[::-2].transpose(2, 0, 1), normal(5, 3, 4).transpose()
    for axis in range(3):
        y = getattr(cpu, name)(x, axis)
        close(y, getattr(reference, name)(x, axis))
        expected = getattr(reference, name + "_backward")(g, y, axis)
        close(getattr(cpu, name + "_backward")(g, y, axis), expected)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_complex_step(name: str, axis: int) -> None:
    """The imaginary part of f(x + ih v) / h is the derivative along v, to the last digit."""
    x, v, g = normal(3, 4, 2), normal(3, 4, 2), normal(3, 4, 2)
    y = getattr(cpu, name)(x + 1e-20j * v, axis)
    close(y.real, getattr(cpu, name)(x, axis))
    gx = getattr(cpu, name + "_backward")(g, y.real, axis)
    np.testing.assert_allclose((g * y.imag / 1e-20).sum(), (gx * v).sum(), rtol=1e-11)
