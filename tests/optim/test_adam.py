"""Adam and AdamW against PyTorch, step by step."""

import math

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import nn, optim
from tests.optim.common import TOLERANCE, assert_equal_to_pytorch, parameters, set_gradients

OPTIONS = {
    "default": {},
    "fast": {"lr": 0.1, "betas": (0.8, 0.95), "eps": 1e-3},
    "decay": {"lr": 0.01, "weight_decay": 0.3},
    "no memory": {"lr": 0.01, "betas": (0.0, 0.0)},
}


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_steps_as_pytorch(name, options, dtype, device):
    ours, theirs = parameters(mg, dtype, device), parameters(torch, dtype)
    a = getattr(optim, name)(ours, **options)
    b = getattr(torch.optim, name)(theirs, **options)
    assert a.defaults.items() <= b.defaults.items()
    for step in range(8):
        set_gradients(mg, ours, step)
        set_gradients(torch, theirs, step)
        a.step()
        b.step()
        assert_equal_to_pytorch(ours, theirs, dtype, f"step {step}")
    for p, q in zip(ours, theirs, strict=True):
        x, y = a.state[p], b.state[q]
        assert x.keys() == y.keys() and x["step"] == int(y["step"])
        for key in ("exp_avg", "exp_avg_sq"):
            assert x[key].dtype == dtype
            moment = mg.Tensor(x[key]).cpu().numpy()
            np.testing.assert_allclose(moment, y[key].numpy(), rtol=1e-5, atol=TOLERANCE[dtype])


def test_weight_decay_of_the_two_differs():
    def after_one_step(cls):
        p = nn.Parameter(mg.full((1,), 2.0))
        p.grad = mg.full((1,), 0.5)
        cls([p], lr=0.1, weight_decay=0.5).step()
        return p.item()

    # Adam's first step is lr whatever the gradient; AdamW shrinks p by lr * weight_decay before.
    assert after_one_step(optim.Adam) == pytest.approx(2.0 - 0.1, rel=1e-6)
    assert after_one_step(optim.AdamW) == pytest.approx(2.0 * 0.95 - 0.1, rel=1e-6)


def test_each_parameter_counts_its_own_steps():
    a, b = nn.Parameter(mg.ones(1)), nn.Parameter(mg.ones(1))
    opt = optim.Adam([a, b], lr=0.1)
    a.grad = mg.ones(1)
    opt.step()
    b.grad = mg.ones(1)
    opt.step()
    assert (opt.state[a]["step"], opt.state[b]["step"]) == (2, 1)
    assert b.item() == pytest.approx(0.9, rel=1e-6)


@pytest.mark.parametrize("layout", [lambda x: x.T, lambda x: x[::2]])
def test_parameters_that_are_not_contiguous(layout):
    rng = np.random.default_rng(0)
    x, g = rng.standard_normal((2, 6, 8)).astype(np.float32)
    p = nn.Parameter(mg.Tensor(layout(x)))
    q = torch.nn.Parameter(torch.tensor(layout(x).copy()))
    a = optim.Adam([p], lr=0.1, weight_decay=0.1)
    b = torch.optim.Adam([q], lr=0.1, weight_decay=0.1)
    p.grad, q.grad = mg.Tensor(layout(g)), torch.tensor(layout(g).copy())
    for _ in range(3):
        a.step()
        b.step()
    assert_equal_to_pytorch([p], [q], "float32")


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_what_is_not_finite_travels_on_without_a_warning(name, device):
    def after_two_steps(lib, **options):
        gradient = [math.nan, math.inf, -math.inf, 3e38, 1.0]  # 3e38 twice is infinite
        p = lib.nn.Parameter(lib.zeros(5, **options))
        p.grad = lib.tensor(gradient, **options)
        opt = getattr(lib.optim, name)([p], lr=1.0)
        opt.step()
        opt.step()
        return p.detach().cpu().numpy()

    ours, theirs = after_two_steps(mg, device=device), after_two_steps(torch)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_numpy_scalars_as_options_do_not_promote():
    p = nn.Parameter(mg.ones(100_000))
    p.grad = mg.ones(100_000)
    opt = optim.AdamW(
        [p], lr=np.float64(0.1), betas=(np.float64(0.9), np.float64(0.99)), eps=np.float64(1e-8)
    )
    opt.step()
    assert p.dtype == mg.float32
    assert opt.state[p]["exp_avg"].dtype == opt.state[p]["exp_avg_sq"].dtype == mg.float32


P = nn.Parameter(mg.ones(1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": -1}, "Invalid learning rate: -1"),
        ({"eps": -1}, "Invalid epsilon value: -1"),
        ({"betas": (1, 0.9)}, "Invalid beta parameter at index 0: 1"),
        ({"betas": (0.9, 1.5)}, "Invalid beta parameter at index 1: 1.5"),
        ({"weight_decay": -0.1}, "Invalid weight_decay value: -0.1"),
        ({"betas": (math.nan, 0.9)}, "Invalid beta parameter at index 0: nan"),
    ],
)
@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_errors_as_pytorch(name, options, message):
    for lib in (optim, torch.optim):
        parameter = P if lib is optim else torch.nn.Parameter(torch.ones(1))
        with pytest.raises(ValueError, match=message):
            getattr(lib, name)([parameter], **options)


def test_amsgrad_is_refused_by_name():
    with pytest.raises(ValueError, match=r"\[AdamW\] amsgrad=True is not available"):
        optim.AdamW([P], amsgrad=True)
