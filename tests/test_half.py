"""float16 and bfloat16: what 16 bits hold, and that the CPU computes with them in float32."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import Tensor, nn, optim
from minigrad.nn import functional as F

HALVES = ["float16", "bfloat16"]
halves = pytest.mark.parametrize("half", HALVES)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


# What a 16-bit sum, square or statistic would spoil, each with inputs for which it would.
LAYERS: dict[str, tuple[Any, list[np.ndarray]]] = {
    "conv2d": (F.conv2d, [normal(2, 64, 9, 9), normal(8, 64, 3, 3), normal(8)]),
    "linear": (F.linear, [normal(4, 3000), normal(8, 3000), normal(8)]),
    "matmul": (mg.matmul, [normal(3, 2, 700), normal(700, 4)]),
    "softmax": (lambda x: mg.softmax(x, 1), [normal(2, 3000)]),
    "log_softmax": (lambda x: mg.log_softmax(x, 1), [normal(2, 3000)]),
    "lrn": (lambda x: F.local_response_norm(x, 5), [normal(2, 8, 3, 3) * 200]),
    "batch_norm": (lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True),
                   [normal(8, 2, 30, 30) + 10, normal(2), normal(2)]),
    "layer_norm": (lambda x: F.layer_norm(x, (3000,)), [normal(2, 3000) + 100]),
    "avg_pool2d": (lambda x: F.avg_pool2d(x, 3, 2), [normal(2, 3, 7, 7)]),
    "adaptive": (lambda x: F.adaptive_avg_pool2d(x, 2), [normal(2, 3, 300, 300) + 1]),
    "max_pool2d": (lambda x: F.max_pool2d(x, 3, 2), [normal(2, 3, 7, 7)]),
    "relu": (lambda x: mg.relu(x), [normal(5, 6)]),
    "gelu": (lambda x: F.gelu(x), [normal(5, 6)]),
    "sum": (lambda x: x.sum(0), [normal(4096, 2) + 1]),
}  # fmt: skip


@halves
@pytest.mark.parametrize("name", LAYERS)
def test_computed_in_single_and_rounded_once(name: str, half: str) -> None:
    """To the last bit what float32 gives, rounded: forward, and each gradient."""
    function, arrays = LAYERS[name]
    dtype = getattr(mg, half)
    narrow = [Tensor(a.astype(dtype), requires_grad=True) for a in arrays]
    wide = [Tensor(a.astype(dtype).astype(np.float32), requires_grad=True) for a in arrays]
    y, truth = function(*narrow), function(*wide)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y.array, truth.array.astype(dtype))
    g = normal(*y.shape, seed=1).astype(dtype)
    y.backward(Tensor(g))
    truth.backward(Tensor(g.astype(np.float32)))
    for x, expected in zip(narrow, wide, strict=True):
        assert x.grad.dtype == dtype
        np.testing.assert_array_equal(x.grad.array, expected.grad.array.astype(dtype))


def test_promotion_is_torchs() -> None:
    names = ["bool", "uint8", "int64", "float16", "bfloat16", "float32", "float64"]
    for a in names:
        for b in names:
            truth = torch.promote_types(getattr(torch, a), getattr(torch, b))
            ours = mg.promote_types(getattr(mg, a), getattr(mg, b))
            assert str(ours) == str(truth).removeprefix("torch."), (a, b)


@halves
def test_numbers_are_weak(half: str) -> None:
    x = mg.ones(3, dtype=getattr(mg, half))
    for y in (x * 2.5, 2 - x, x / 3, x**2, x + np.float64(1), x.mean(), x * mg.tensor(2.0)):
        assert y.dtype == x.dtype
    assert (x * mg.ones(3)).dtype == mg.float32
    assert (x > 0.5).dtype == mg.bool


def test_bfloat16_prints_and_converts_as_torchs() -> None:
    values = [1.0, 2.5, -0.1, 3e38]
    x, truth = mg.tensor(values, dtype=mg.bfloat16), torch.tensor(values, dtype=torch.bfloat16)
    assert repr(x).replace("minigrad", "torch") == repr(truth)
    assert x.tolist() == truth.tolist() and x[2].item() == truth[2].item()
    assert x.is_floating_point() and x.element_size() == 2
    wide = np.concatenate([normal(1000) * 100, [np.inf, -np.inf, np.nan, 1e-40]]).astype(np.float32)
    ours, theirs = Tensor(wide).bfloat16(), torch.from_numpy(wide).bfloat16()
    np.testing.assert_array_equal(ours.float().numpy(), theirs.float().numpy())
    assert ours.half().dtype == mg.float16 and ours.double().dtype == mg.float64
    assert mg.zeros(2, dtype=mg.bfloat16).dtype == mg.bfloat16
    assert mg.randn(2, dtype=mg.bfloat16).dtype == mg.bfloat16
    assert mg.tensor(3).to(mg.bfloat16).item() == 3


def test_sorted_nan_is_the_largest() -> None:
    x = mg.tensor([1.0, float("nan"), -2.0, 5.0], dtype=mg.bfloat16)
    assert mg.argsort(x).tolist() == [2, 0, 3, 1]
    assert mg.topk(x, 2).indices.tolist() == [1, 3]


@halves
def test_a_network_of_16_bits_learns(half: str) -> None:
    """`net.half()`, `net.bfloat16()`: weights, gradients and momentum are of that type."""
    mg.manual_seed(1)
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(0.1), nn.Linear(36, 3),
    )
    net = net.half() if half == "float16" else net.bfloat16()
    dtype = getattr(mg, half)
    opt = optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)
    x, t = Tensor(normal(16, 1, 8, 8).astype(dtype)), mg.tensor(np.arange(16) % 3)
    losses = []
    for _ in range(12):
        opt.zero_grad()
        loss = F.cross_entropy(net(x), t)
        loss.backward()
        opt.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    for p in net.parameters():
        assert p.dtype == p.grad.dtype == opt.state[p]["momentum_buffer"].dtype == dtype
    assert net[1].running_var.dtype == dtype


def test_bfloat16_is_written_and_read(tmp_path: Path) -> None:
    """The file holds BF16, as PyTorch's would; read, it is float32, exactly."""
    from safetensors.torch import load_file

    net = nn.Linear(3, 2).bfloat16()
    mg.save(net.state_dict(), tmp_path / "net.safetensors")
    theirs = load_file(tmp_path / "net.safetensors")
    assert theirs["weight"].dtype == torch.bfloat16
    np.testing.assert_array_equal(theirs["weight"].float().numpy(), net.weight.float().detach())
    loaded = mg.load(tmp_path / "net.safetensors")
    assert loaded["weight"].dtype == mg.float32
    other = nn.Linear(3, 2).bfloat16()
    other.load_state_dict(loaded)
    assert other.weight.dtype == mg.bfloat16 and mg.equal(other.weight, net.weight)
    torch.save({"w": torch.tensor([0.1, -3.0], dtype=torch.bfloat16)}, tmp_path / "net.pth")
    assert mg.load(tmp_path / "net.pth")["w"].tolist() == [0.10009765625, -3.0]


def test_ml_dtypes_is_loaded_when_asked_for_and_missed_with_a_word() -> None:
    code = (
        "import sys, minigrad as mg\n"
        "mg.ones(2).half() * 2\n"
        "print('ml_dtypes' in sys.modules)\n"
        "sys.modules['ml_dtypes'] = None\n"
        "for ask in (lambda: mg.bfloat16, mg.ones(2).bfloat16, mg.nn.Linear(1, 1).bfloat16):\n"
        "    try: ask()\n"
        "    except ModuleNotFoundError as error: print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    wanted = "bfloat16 needs the library ml_dtypes: pip install 'minigrad[bfloat16]'\n"
    assert run.stdout == "False\n" + 3 * wanted
