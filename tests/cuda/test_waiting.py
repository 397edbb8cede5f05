"""What listings have in a training step, beside the ops of the table, waits for no GPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import amp, nn, optim
from minigrad.nn import functional as F
from tests.conftest import no_waiting, on_cuda


def parameters() -> list[nn.Parameter]:
    params = [nn.Parameter(mg.ones(*shape, device="cuda")) for shape in ((3, 4), (5,))]
    for p in params:
        p.grad = mg.full_like(p, 2.0)
    return params


def scaled_and_clipped() -> None:
    params = parameters()
    optimizer, scaler = optim.SGD(params, 0.1), amp.GradScaler("cuda")
    scaler.scale(sum(p.sum() for p in params)).backward()
    scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(params, 1.0)
    scaler.step(optimizer)
    scaler.update()


def scheduled() -> None:
    optimizer = optim.SGD(parameters(), 0.1, momentum=0.9)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=9)
    for _ in range(3):
        optimizer.step()
        schedule.step()


def right() -> mg.Tensor:
    scores, targets = mg.ones(3, 4, device="cuda"), mg.tensor([0, 1, 2], device="cuda")
    return (scores.argmax(1) == targets).float().mean() + F.cross_entropy(scores, targets)


STEPS = {
    "clipped by norm": lambda: nn.utils.clip_grad_norm_(parameters(), 1.0),
    "clipped by the largest": lambda: nn.utils.clip_grad_norm_(parameters(), 1.0, float("inf")),
    "clipped by value": lambda: nn.utils.clip_grad_value_(parameters(), 1.0),
    "scaled and clipped": scaled_and_clipped, "scheduled": scheduled, "right": right,
    "dampened": lambda: optim.SGD(parameters(), 0.1, momentum=0.9, dampening=0.5).step(),
    "adadelta": lambda: optim.Adadelta(parameters()).step(),
    "gradients of zero": lambda: optim.SGD(parameters(), 0.1).zero_grad(set_to_none=False),
    "enlarged": lambda: F.interpolate(mg.ones(1, 1, 4, 4, device="cuda"), scale_factor=2),
    "drawn": lambda: nn.init.kaiming_normal_(mg.empty(3, 4, device="cuda")),
    "a permutation": lambda: mg.randperm(5, device="cuda"),
}  # fmt: skip


@on_cuda
@pytest.mark.parametrize("name", STEPS)
def test_nobody_waits(device, name):
    with no_waiting():
        STEPS[name]()


@on_cuda
def test_an_average_of_all_batches_counts_them_where_they_are(device):
    """PyTorch waits for this count at each step; as a graph it is right, too."""
    ours, theirs = (kind.BatchNorm2d(2, momentum=None) for kind in (nn, torch.nn))
    ours.to("cuda")
    step = mg.cuda.graph(lambda x: ours(x))
    for i in range(1, 6):
        x = np.random.default_rng(i).standard_normal((3, 2, 4, 4), "float32") * i
        batch = mg.tensor(x, device="cuda")
        with no_waiting():
            step(batch)
        theirs(torch.tensor(x))
        for mine, right in zip(ours.buffers(), theirs.buffers(), strict=True):
            np.testing.assert_allclose(mine.cpu().numpy(), right.numpy(), rtol=1e-5, atol=1e-6)
    assert ours.running_mean.dtype == mg.float32
