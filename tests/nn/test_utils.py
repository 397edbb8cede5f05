"""Gradient clipping against PyTorch."""

import math

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import nn

SHAPES = [(3, 4), (5,), (2, 1, 3, 3), ()]


def parameters(lib, dtype="float32", scale=1.0):
    rng = np.random.default_rng(0)
    result = []
    for shape in SHAPES:
        p = lib.nn.Parameter(lib.zeros(shape, dtype=getattr(lib, dtype)))
        p.grad = lib.tensor((rng.standard_normal(shape) * scale).astype(dtype))
        result.append(p)
    result.append(lib.nn.Parameter(lib.zeros(2)))  # without a gradient
    return result


def gradients(params):
    return [p.grad.numpy() for p in params if p.grad is not None]


@pytest.mark.parametrize("norm_type", [2, 2.0, 1.0, 3.0, math.inf])
@pytest.mark.parametrize("max_norm", [0.3, 100.0])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_clip_grad_norm(norm_type, max_norm, dtype):
    ours, theirs = parameters(mg, dtype), parameters(torch, dtype)
    total = nn.utils.clip_grad_norm_(iter(ours), max_norm, norm_type)
    expected = torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type)
    rtol = {"float16": 3e-3, "float32": 1e-6, "float64": 1e-14}[dtype]
    assert isinstance(total, mg.Tensor) and total.shape == () and total.dtype == dtype
    np.testing.assert_allclose(total.numpy(), expected.numpy(), rtol=rtol)
    for a, b in zip(gradients(ours), gradients(theirs), strict=True):
        assert a.dtype == dtype
        np.testing.assert_allclose(a, b, rtol=rtol)
    if max_norm == 100.0:
        np.testing.assert_array_equal(gradients(ours)[0], gradients(parameters(mg, dtype))[0])


def test_float16_gradients_whose_squares_overflow():
    p = nn.Parameter(mg.zeros(4, dtype=mg.float16))
    p.grad = mg.tensor(np.full(4, 1000, np.float16))
    assert nn.utils.clip_grad_norm_(p, 1.0).item() == 2000.0
    np.testing.assert_allclose(p.grad.numpy(), 0.5, rtol=1e-3)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_norm_that_is_not_finite(bad):
    for lib in (mg, torch):
        params = parameters(lib)
        params[1].grad[2] = bad
        with pytest.raises(RuntimeError, match="total norm of order 2.0 .* is non-finite"):
            lib.nn.utils.clip_grad_norm_(params, 1.0, error_if_nonfinite=True)
        assert np.isfinite(gradients(params)[0]).all()
        lib.nn.utils.clip_grad_norm_(params, 1.0)
        assert np.isnan(gradients(params)[1][2])
        assert (np.isnan(gradients(params)[0])).all() == math.isnan(bad)


def test_no_gradients():
    assert nn.utils.clip_grad_norm_([], 1.0).item() == 0.0
    assert nn.utils.clip_grad_norm_(nn.Parameter(mg.zeros(2)), 1.0).item() == 0.0


def test_clip_grad_value():
    ours, theirs = parameters(mg), parameters(torch)
    nn.utils.clip_grad_value_(ours, 0.4)
    torch.nn.utils.clip_grad_value_(theirs, 0.4)
    assert max(np.abs(g).max() for g in gradients(ours)) == np.float32(0.4)
    for a, b in zip(gradients(ours), gradients(theirs), strict=True):
        np.testing.assert_array_equal(a, b)


def test_clipping_does_not_touch_a_gradient_twice():
    """Both summands get the same gradient; were they one array, it would be scaled twice."""
    a, b = nn.Parameter(mg.ones(3)), nn.Parameter(mg.ones(3))
    (a + b).sum().backward()
    nn.utils.clip_grad_norm_([a, b], 1.0)
    np.testing.assert_allclose(a.grad.numpy(), 1 / math.sqrt(6), rtol=1e-5)
    np.testing.assert_allclose(b.grad.numpy(), 1 / math.sqrt(6), rtol=1e-5)
