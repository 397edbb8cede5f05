"""`GradScaler` beside PyTorch's, step by step, and what it is for: gradients below float16."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import amp, nn, optim

OPTIONS: dict[str, Any] = {
    "init_scale": 8.0, "growth_factor": 4.0, "backoff_factor": 0.25, "growth_interval": 2,
}  # fmt: skip
FACTORS = [np.inf, 1.0, 2.0, np.inf, 1.0, np.nan, 1.0, 0.5, 1.0, 1e38, 1.0]  # of the loss
OPTIMIZERS = {
    "sgd": (lambda p: optim.SGD(p, lr=0.1, momentum=0.9),
            lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)),
    "dampened": (lambda p: optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.5),
                 lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.5)),
    "adamw": (lambda p: optim.AdamW(p, lr=0.1), lambda p: torch.optim.AdamW(p, lr=0.1)),
    "adadelta": (lambda p: optim.Adadelta(p), lambda p: torch.optim.Adadelta(p)),
}  # fmt: skip


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("device", ["cpu", "cuda"], indirect=True)
def test_every_step_is_pytorchs(device: str, name: str) -> None:
    """Weights, scale and count; steps whose gradients are not finite change no weight, the first
    one among them, from which a dampened momentum would start."""
    start = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    p, q = nn.Parameter(mg.tensor(start, device=device)), torch.nn.Parameter(torch.tensor(start))
    ours, theirs = OPTIMIZERS[name][0]([p]), OPTIMIZERS[name][1]([q])
    options = {**OPTIONS, "init_scale": 32.0}
    scaler, truth = amp.GradScaler(device, **options), torch.amp.GradScaler("cpu", **options)
    skipped = 0
    for i, factor in enumerate(FACTORS):
        before = p.detach().clone()
        ours.zero_grad()
        theirs.zero_grad()
        scaler.scale((p * p).sum() * factor).backward()
        truth.scale((q * q).sum() * factor).backward()
        if i % 2:  # to clip, as listings do it
            scaler.unscale_(ours)
            truth.unscale_(theirs)
            nn.utils.clip_grad_value_([p], 0.5)
            torch.nn.utils.clip_grad_value_([q], 0.5)
        scaler.step(ours)
        truth.step(theirs)
        skipped += mg.equal(p, before)
        scaler.update()
        truth.update()
        mine, right = p.detach().cpu().numpy(), q.detach().numpy()
        np.testing.assert_allclose(mine, right, rtol=2e-5, atol=1e-6)
        assert scaler.state_dict() == truth.state_dict()
    assert skipped == 4


def test_the_scale_stays_finite() -> None:
    p = nn.Parameter(mg.zeros(1))
    scaler, optimizer = amp.GradScaler("cpu", 2.0**127, growth_interval=1), optim.SGD([p], lr=0.1)
    scaler.scale(p * 0).sum().backward()
    scaler.step(optimizer)
    scaler.update()
    assert scaler.get_scale() == 2.0**127


def test_gradients_below_float16_survive() -> None:
    """The product of the loss is what float16 would have lost: 1e-9."""
    grads = []
    for enabled in (False, True):
        w = nn.Parameter(mg.ones(1, 4))
        scaler, optimizer = amp.GradScaler("cpu", enabled=enabled), optim.SGD([w], lr=0.0)
        with mg.autocast("cpu", mg.float16):
            y = nn.functional.linear(mg.ones(1, 4), w)
        scaler.scale((y.float() * 1e-9).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        grads.append(w.grad.numpy())
    assert (grads[0] == 0).all()
    np.testing.assert_allclose(grads[1], 1e-9, rtol=1e-3)


def test_several_optimizers_share_a_scale() -> None:
    """One that found an infinity lowers it for all, and skips its own step only."""
    a, b = nn.Parameter(mg.ones(1)), nn.Parameter(mg.ones(1))
    first, second = optim.SGD([a], lr=0.5), optim.SGD([b], lr=0.5)
    scaler = amp.GradScaler("cpu", **OPTIONS)
    for loss in scaler.scale([a.sum() * float("inf"), b.sum()]):
        loss.backward()
    scaler.step(first)
    scaler.step(second)
    scaler.update()
    assert (a.item(), b.item(), scaler.get_scale()) == (1, 0.5, 2.0)
    assert first.skip is None and second.skip is None


def test_its_state_continues() -> None:
    p = nn.Parameter(mg.ones(1))
    optimizer, scaler = optim.SGD([p], lr=0.1), amp.GradScaler("cpu", **OPTIONS)
    assert scaler.get_scale() == 8 and scaler.is_enabled()
    scaler.scale(p).sum().backward()
    scaler.step(optimizer)
    scaler.update()
    state = json.loads(json.dumps(scaler.state_dict()))
    for other in (amp.GradScaler("cpu"), scaler):
        other.load_state_dict(state)
        assert other.state_dict() == state
        other.scale(p).sum().backward()
        other.step(optimizer)
        other.update()
        assert other.get_scale() == 32  # the second of two finite steps
    scaler.update(new_scale=4.0)
    assert scaler.get_scale() == 4


def test_disabled_it_is_transparent() -> None:
    p = nn.Parameter(mg.ones(2))
    optimizer, scaler = optim.SGD([p], lr=1.0), amp.GradScaler("cpu", enabled=False)
    loss = p.sum()
    assert scaler.scale(loss) is loss
    loss.backward()
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    assert p.tolist() == [0, 0] and scaler.get_scale() == 1 and scaler.state_dict() == {}


def test_errors_are_pytorchs() -> None:
    p, half = nn.Parameter(mg.ones(1)), nn.Parameter(mg.ones(1, dtype=mg.float16))
    optimizer, scaler = optim.SGD([p], lr=0.1), amp.GradScaler("cpu")
    with pytest.raises(RuntimeError, match="without a step"):
        scaler.update()
    with pytest.raises(RuntimeError, match="no gradients"):
        scaler.step(optimizer)
    scaler.scale(p).sum().backward()
    scaler.unscale_(optimizer)
    with pytest.raises(RuntimeError, match=r"unscale_\(\) has already been called"):
        scaler.unscale_(optimizer)
    with pytest.raises(RuntimeError, match="Closure"):
        scaler.step(optimizer, lambda: None)
    scaler.step(optimizer)
    with pytest.raises(RuntimeError, match=r"step\(\) has already been called"):
        scaler.step(optimizer)
    with pytest.raises(RuntimeError, match=r"unscale_\(\) is being called after step"):
        scaler.unscale_(optimizer)
    scaler.scale(half).sum().backward()
    with pytest.raises(ValueError, match="Attempting to unscale FP16 gradients"):
        amp.GradScaler("cpu").step(optim.SGD([half], lr=0.1))
    with pytest.raises(ValueError, match="growth_factor"):
        amp.GradScaler("cpu", growth_factor=1.0)
    with pytest.raises(ValueError, match="expected tensors"):
        scaler.scale(3)
    with pytest.raises(RuntimeError, match="source state dict is empty"):
        scaler.load_state_dict({})


@pytest.mark.skipif(mg.cuda.is_available(), reason="of machines without a GPU")
def test_without_cuda_it_warns_and_is_transparent() -> None:
    for make in (amp.GradScaler, mg.cuda.amp.GradScaler):
        with pytest.warns(UserWarning, match=r"\[GradScaler\] disabled: CuPy is "):
            assert not make().is_enabled()
