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


class Training:
    """Steps in 16 bits with a GradScaler, each with a factor of the loss."""

    def __init__(self, device: str, half: str = "float16") -> None:
        rng, self.device, self.half = np.random.default_rng(1), device, getattr(mg, half)
        self.x = Tensor(rng.standard_normal((8, 1, 8, 8)).astype(np.float32)).to(device)
        self.t = Tensor(rng.integers(0, 3, 8)).to(device)
        self.net = network().to(device)
        self.optimizer = optim.SGD(self.net.parameters(), lr=0.1, momentum=0.9)
        self.scaler = amp.GradScaler(device, init_scale=16.0, growth_interval=2)

    def step(self, factor: Tensor) -> Tensor:
        self.optimizer.zero_grad()
        with mg.autocast(self.device, dtype=self.half):
            y = self.net(self.x)
            loss = F.cross_entropy(y, self.t) * factor
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        assert y.dtype == self.half and loss.dtype == mg.float32
        return loss

    def factors(self) -> list[Tensor]:
        """Also such as make gradients that are not finite."""
        factors = [1.0, 1.0, 1.0, 1.0, np.inf, 1.0, np.nan, 1.0, 1.0]
        return [Tensor(np.float32(factor)).to(self.device) for factor in factors]

    def weights(self) -> list[np.ndarray]:
        return [x.detach().cpu().numpy() for x in self.net.state_dict().values()]


@pytest.mark.parametrize("half", ["float16", "bfloat16"])
def test_a_step_in_16_bits_waits_for_nothing(gpu, half: str) -> None:
    """Steps with an infinite loss are skipped, without that anybody looks whether they are."""
    mine, right = Training("cuda", half), Training("cpu", half)
    for a, b in zip(mine.factors(), right.factors(), strict=True):
        with gpu.no_waiting():
            mine.step(a)
        right.step(b)
    assert mine.scaler.state_dict() == right.scaler.state_dict()
    for a, b in zip(mine.weights(), right.weights(), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=0, atol=5e-3 if half == "float16" else 4e-2)


def test_a_graph_scales_and_skips_as_the_step_does(gpu) -> None:
    """Scale, count and the number that says whether to skip are read where they lie."""
    eager, graphed = Training("cuda"), Training("cuda")
    step = mg.cuda.graph(graphed.step)
    for a, b in zip(eager.factors(), graphed.factors(), strict=True):
        np.testing.assert_array_equal(step(b).item(), eager.step(a).item())
        for mine, right in zip(graphed.weights(), eager.weights(), strict=True):
            np.testing.assert_array_equal(mine, right)
    assert graphed.scaler.state_dict() == eager.scaler.state_dict()
    assert len(step.recordings) == 1


def test_the_error_of_each_precision(gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores and gradients beside float64: not more than the digits explain, and not less."""
    rng = np.random.default_rng(2)
    images, targets = rng.standard_normal((8, 1, 8, 8)), rng.integers(0, 3, 8)

    def found(device: str, dtype: np.dtype, half: np.dtype | None) -> np.ndarray:
        net, x, t = network().to(dtype).to(device), Tensor(images.astype(dtype)), Tensor(targets)
        with mg.autocast(device, half, enabled=half is not None):
            y = net(x.to(device))
            loss = F.cross_entropy(y, t.to(device))
        loss.backward()
        parts = [y.detach(), *(p.grad for p in net.parameters())]
        return np.concatenate([p.double().cpu().numpy().ravel() for p in parts])

    exact = found("cpu", mg.float64, None)

    def error(half: np.dtype | None = None) -> float:
        difference = found("cuda", mg.float32, half) - exact
        return float(np.linalg.norm(difference) / np.linalg.norm(exact))

    assert 1e-9 < error() < 2e-6
    assert 1e-5 < error(mg.float16) < 5e-3
    assert 3e-4 < error(mg.bfloat16) < 4e-2
    monkeypatch.setattr(mg.backends.cuda.matmul, "allow_tf32", True)
    monkeypatch.setattr(mg.backends.cudnn, "allow_tf32", True)
    assert 1e-5 < error() < 5e-3


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
