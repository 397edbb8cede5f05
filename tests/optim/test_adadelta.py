"""Adadelta against PyTorch, step by step."""

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import optim
from tests.optim.common import TOLERANCE, assert_equal_to_pytorch, parameters, set_gradients

OPTIONS = {
    "default": {},
    "slow": {"lr": 0.1, "rho": 0.5, "eps": 1e-3},
    "decay": {"weight_decay": 0.3},
}


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_steps_as_pytorch(options, dtype, device):
    ours, theirs = parameters(mg, dtype, device), parameters(torch, dtype)
    a, b = optim.Adadelta(ours, **options), torch.optim.Adadelta(theirs, **options)
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
        for key in ("square_avg", "acc_delta"):
            assert x[key].dtype == dtype
            average = mg.Tensor(x[key]).cpu().numpy()
            np.testing.assert_allclose(average, y[key].numpy(), rtol=1e-5, atol=TOLERANCE[dtype])


def test_it_continues_from_its_state(device):
    once, twice = parameters(mg, device=device), parameters(mg, device=device)
    a, b = optim.Adadelta(once), optim.Adadelta(twice)
    for step in range(4):
        if step == 2:
            state, b = b.state_dict(), optim.Adadelta(twice)
            b.load_state_dict(state)
        for params, opt in ((once, a), (twice, b)):
            set_gradients(mg, params, step)
            opt.step()
    assert all(mg.equal(p, q) for p, q in zip(once, twice, strict=True))


@pytest.mark.parametrize(
    "options", [{"lr": -1}, {"eps": -1}, {"weight_decay": -1}, {"rho": 1.5}, {"rho": -0.1}]
)
def test_options_that_make_no_sense(options):
    for lib in (mg, torch):
        with pytest.raises(ValueError, match="Invalid"):
            lib.optim.Adadelta(parameters(lib), **options)
