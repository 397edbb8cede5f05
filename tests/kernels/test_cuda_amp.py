"""Mixed precision with `device="cuda"`: the kernels, the lists of CUDA, and that nobody waits."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor, amp, nn, optim
from minigrad.kernels import cpu
from minigrad.nn import functional as F

VALUES = {"finite": 1.0, "inf": np.inf, "nan": np.nan, "-inf": -np.inf}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES.keys())
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_unscale(cuda, dtype: str, value: float) -> None:
    """Of 70 gradients the last one holds something that is not finite, or does not."""
    rng, results = np.random.default_rng(0), []
    start = [rng.standard_normal(size).astype(dtype) for size in (3, 9000, 0, *[2] * 67)]
    start[-1][1] = value
    for module in (cpu, cuda):
        gs = [g.copy() for g in start]
        found = np.zeros((), np.float32)
        module.unscale(gs, np.array(4, np.float32), found)
        results.append([*gs, found])
    for right, mine in zip(*results, strict=True):
        np.testing.assert_array_equal(mine, right)
    assert results[1][-1] == (not np.isfinite(value))


def test_update_scale(cuda) -> None:
    """Step by step the scale and the count of the CPU."""
    results = []
    for module in (cpu, cuda):
        scale, count = np.array(2.0**125, np.float32), np.zeros((), np.int64)
        states = []
        for found in (0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0):
            flag = np.array(found, np.float32)
            module.update_scale(scale, count, flag, 4.0, 0.5, 2)
            states.append((float(scale), int(count)))
        results.append(states)
    assert results[0] == results[1]
    assert (2.0**126, 0) in results[0]  # and never infinite


def network() -> nn.Module:
    mg.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(54, 3),
    )


def train(device: str, factors: list[float], forbid: object) -> tuple[list[np.ndarray], dict]:
    """Some steps in float16 with a GradScaler; the weights and the scaler's state."""
    rng = np.random.default_rng(1)
    x = Tensor(rng.standard_normal((8, 1, 8, 8)).astype(np.float32)).to(device)
    t = Tensor(rng.integers(0, 3, 8)).to(device)
    net = network().to(device)
    optimizer = optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    scaler = amp.GradScaler(device, init_scale=16.0, growth_interval=2)
    factors_there = [Tensor(np.float32(f)).to(device) for f in factors]
    for factor in factors_there:
        with forbid():
            optimizer.zero_grad()
            with mg.autocast(device, dtype=mg.float16):
                y = net(x)
                loss = F.cross_entropy(y, t) * factor
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
        assert y.dtype == mg.float16 and loss.dtype == mg.float32
    return [p.detach().cpu().numpy() for p in net.state_dict().values()], scaler.state_dict()


def test_a_step_in_float16_waits_for_nothing(gpu) -> None:
    """Steps with an infinite loss are skipped, without that anybody looks whether they are."""
    factors = [1.0, 1.0, np.inf, 1.0, np.nan, 1.0, 1.0]
    mine, state = train("cuda", factors, gpu.no_waiting)
    right, expected = train("cpu", factors, gpu.no_waiting)
    assert state == expected
    for a, b in zip(mine, right, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=0, atol=5e-3)


def test_the_dtypes_of_cuda(gpu) -> None:
    x, w = mg.ones(2, 3, device="cuda"), mg.ones(3, 3, device="cuda")
    with mg.autocast("cuda"):
        assert mg.is_autocast_enabled()
        half = x @ w
        assert half.dtype == half.relu().dtype == half.mean().dtype == mg.float16
        for y in (
            half.exp(), (half + 1).log(), half**2, half.sum(), half.norm(), half.cumsum(0),
            half.softmax(1), F.log_softmax(half, 1), half.logsumexp(1), F.softplus(half),
            F.layer_norm(half, (3,)), F.group_norm(half, 3), F.mse_loss(half, half),
        ):  # fmt: skip
            assert y.dtype == mg.float32
        assert (mg.ones(2, 3) @ mg.ones(3, 3)).dtype == mg.float32  # the CPU's are left alone
    with mg.cuda.amp.autocast():
        assert (x @ w).dtype == mg.float16
    with mg.autocast("cpu", mg.float16):
        assert (x @ w).dtype == mg.float32
