"""Formulas fused into one pass, and the normal distribution that NumPy does not have."""

from __future__ import annotations

import math

import numpy as np
import pytest

from minigrad.kernels import cpu


@pytest.mark.parametrize(("dtype", "bound"), [
    (np.float64, 6e-16), (np.float32, 1.5e-7),
])
def test_normal_cdf(dtype: type, bound: float) -> None:
    """As far from `math.erfc` as a rounding or two, everywhere."""
    x = np.linspace(-10, 10, 40_001).astype(dtype)
    truth = [math.erfc(-v / math.sqrt(2)) / 2 for v in x.tolist()]
    y = cpu.normal_cdf(x)
    assert y.dtype == dtype
    np.testing.assert_allclose(y, truth, rtol=0, atol=bound)


def test_normal_cdf_far_out() -> None:
    x = np.array([-np.inf, -1e30, -40.0, -0.0, 0.0, 40.0, 1e30, np.inf, np.nan])
    np.testing.assert_allclose(cpu.normal_cdf(x), [0, 0, 0, 0.5, 0.5, 1, 1, 1, np.nan], atol=1e-16)
    assert cpu.normal_cdf(np.array(1.0)).shape == ()


def test_normal_cdf_of_little_keeps_its_digits() -> None:
    """Where 1 + erf would cancel them: GELU far below 0 is small, but right."""
    x = np.linspace(-6, 0, 500)
    truth = [math.erfc(-v / math.sqrt(2)) / 2 for v in x.tolist()]
    np.testing.assert_allclose(cpu.normal_cdf(x), truth, rtol=2e-14)


@pytest.mark.parametrize("shape", [(), (3, 0), (5, 4), (70, 1000)])
def test_fused(shape: tuple[int, ...]) -> None:
    """Small or in blocks: the formula's value, of the first operand's dtype, without a warning."""
    rng = np.random.default_rng(0)
    x, g = (np.asarray(rng.standard_normal(shape[::-1]), np.float32).T for _ in "xg")
    slope = 0.5
    y = cpu.fused(lambda xp, g, x: g * xp.log(x) * slope + (x > 0), g, x)
    assert y.dtype == np.float32
    assert y.shape == shape
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(y, g * np.log(x) * np.float32(slope) + (x > 0), rtol=1e-6)
