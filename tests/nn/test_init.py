"""nn.init: the right distribution, in the right dtype, reproducible, in place."""

import math

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad.nn import init

SHAPE = (300, 40, 3, 5)  # fan_in 600, fan_out 4500; 180,000 values


def moments(values):
    return values.mean(), values.std(), values.min(), values.max()


FILLS = {
    "uniform": lambda lib, t: lib.uniform_(t, -2.0, 3.0),
    "normal": lambda lib, t: lib.normal_(t, 1.0, 0.5),
    "xavier_uniform": lambda lib, t: lib.xavier_uniform_(t, gain=2.0),
    "kaiming_uniform": lambda lib, t: lib.kaiming_uniform_(t, a=0.2, mode="fan_out"),
    "kaiming_uniform relu": lambda lib, t: lib.kaiming_uniform_(t, nonlinearity="relu"),
    "xavier_normal": lambda lib, t: lib.xavier_normal_(t, gain=2.0),
    "kaiming_normal": lambda lib, t: lib.kaiming_normal_(t, mode="fan_out", nonlinearity="relu"),
    "trunc_normal": lambda lib, t: lib.trunc_normal_(t, 0.5, 1.0, -1.0, 1.0),
    "trunc_normal wide": lambda lib, t: lib.trunc_normal_(t, std=0.02),
}
LIGHT_TAILS = {name for name in FILLS if "uniform" in name or name == "trunc_normal"}


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("name", FILLS)
def test_distribution_as_pytorch(name, dtype):
    mg.manual_seed(0)
    torch.manual_seed(0)
    tensor = mg.empty(SHAPE, dtype=dtype, requires_grad=True)
    memory, version = tensor.array, tensor._version.count
    assert FILLS[name](init, tensor) is tensor
    assert tensor.array is memory and tensor._version.count > version
    assert tensor.grad_fn is None and tensor.dtype == dtype
    mean, std, low, high = moments(tensor.detach().numpy().astype(np.float64))
    expected = moments(FILLS[name](torch.nn.init, torch.empty(SHAPE)).double().numpy())
    assert abs(mean - expected[0]) < 0.02 * expected[1]
    assert abs(std / expected[1] - 1) < 0.01
    if name in LIGHT_TAILS:  # the bounds themselves, to the resolution of float16
        assert abs(low - expected[2]) < 2e-3 * expected[1] + 1e-3
        assert abs(high - expected[3]) < 2e-3 * expected[1] + 1e-3
    else:
        assert 4 < (high - mean) / std < 6.5


def test_normal_shape_and_not_only_moments():
    mg.manual_seed(1)
    values = init.normal_(mg.empty(100_000)).numpy()
    for sigmas, share in ((1, 0.6827), (2, 0.9545), (3, 0.9973)):
        assert abs((np.abs(values) < sigmas).mean() - share) < 0.004


@pytest.mark.parametrize("fill", FILLS.values(), ids=FILLS)
def test_reproducible_from_the_seed_and_from_a_generator(fill):
    draws = []
    for seed in (5, 5, 6):
        mg.manual_seed(seed)
        draws.append(fill(init, mg.empty(20, 10)).numpy())
    np.testing.assert_array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])
    state = mg.get_rng_state()
    values = [
        init.uniform_(mg.empty(9), generator=np.random.default_rng(1)).numpy() for _ in range(2)
    ]
    np.testing.assert_array_equal(*values)
    assert mg.get_rng_state() == state  # the global generator was left alone


def test_constants():
    tensor = mg.empty(2, 3, dtype=mg.float64)
    assert (init.constant_(tensor, 2.5).numpy() == 2.5).all()
    assert (init.ones_(tensor).numpy() == 1).all()
    assert (init.zeros_(tensor).numpy() == 0).all()
    assert tensor.dtype == mg.float64


@pytest.mark.parametrize("name", [*init._GAINS, "leaky_relu"])
def test_gains_as_pytorch(name):
    assert init.calculate_gain(name) == pytest.approx(torch.nn.init.calculate_gain(name), rel=1e-15)


def test_gain_of_a_slope():
    assert init.calculate_gain("leaky_relu", 0.3) == math.sqrt(2 / 1.09)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: init.calculate_gain("gelu2"), "Unsupported nonlinearity gelu2"),
        (lambda: init.calculate_gain("leaky_relu", True), "negative_slope True not a valid number"),
        (lambda: init.xavier_uniform_(mg.ones(3)), "fewer than 2 dimensions"),
        (lambda: init.kaiming_normal_(mg.ones(3, 3), mode="fan"), "Mode fan not supported"),
        (lambda: init.trunc_normal_(mg.ones(3), 0.0, 1.0, 5.0, 6.0), r"lies in \[5.0, 6.0\]"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_nothing_to_initialise():
    with pytest.warns(UserWarning, match="zero-element tensors is a no-op"):
        assert init.kaiming_uniform_(mg.empty(3, 0)).shape == (3, 0)
