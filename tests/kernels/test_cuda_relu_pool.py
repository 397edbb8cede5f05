"""Bias, ReLU and max-pool in one pass on the GPU: what the three give, and when it is used."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import nn
from minigrad.kernels import reference
from minigrad.nn import functional as F
from minigrad.nn.functional import fused

POOLS = {  # kernel_size, stride, padding, dilation, ceil_mode
    "overlapping": (3, 2, 0, 1, False), "square": (2, 2, 0, 1, False),
    "padded": ((3, 2), (2, 1), (1, 1), 1, True), "dilated": (2, 1, 1, 2, False),
    "many taps": (16, 1, 8, 1, False),
}  # fmt: skip


def values(shape: tuple[int, ...], dtype: str, seed: int) -> np.ndarray:
    """Eighths, so that sums are exact and there are ties."""
    x = np.random.default_rng(seed).standard_normal(shape[::-1]).T
    return (np.round(x * 8) / 8).astype(dtype)


@pytest.mark.parametrize("pool", POOLS.values(), ids=POOLS)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_it_is_pytorchs(gpu, dtype, pool):
    x, b, shape = values((2, 3, 9, 11), dtype, 0), values((3,), dtype, 1), (2, 3, 9, 11)
    x[1, 2] = -9  # a plane of which nothing is left
    ours = [mg.tensor(v, device="cuda", requires_grad=True) for v in (x, b)]
    wide = [torch.tensor(v.astype("float64"), requires_grad=True) for v in (x, b)]
    y = fused.bias_relu_max_pool2d(*ours, *pool)
    *options, ceil_mode = pool
    z = torch.relu(wide[0] + wide[1][:, None, None])
    z = torch.nn.functional.max_pool2d(z, *options, ceil_mode=ceil_mode)
    g = values(tuple(y.shape), dtype, 2)
    y.backward(mg.tensor(g, device="cuda"))
    z.backward(torch.tensor(g.astype("float64")))
    assert y.dtype == dtype and tuple(ours[0].grad.shape) == shape
    np.testing.assert_array_equal(y.detach().cpu().numpy(), z.detach().numpy())
    close = {"rtol": 1e-2, "atol": 1e-2} if dtype == "float16" else {"rtol": 1e-6}
    for mine, right in zip(ours, wide, strict=True):
        np.testing.assert_allclose(mine.grad.cpu().numpy(), right.grad.numpy(), **close)


def test_the_code_is_a_byte_and_names_the_dead(gpu):
    x = np.array([[[[1, 3, 3, np.nan], [0, -1, -5, -6]]], [[[-1, -2, -3, 0], [-4, -5, -6, -7]]]])
    k = fused._cuda()
    options = (2, 2), (2, 2), (0, 0, 0, 0), (1, 1)
    y, code = k.bias_relu_max_pool2d(gpu.asarray(x), gpu.zeros(1), *options, False)
    assert code.dtype == np.uint8 and code.tolist() == [[[[1, 1]]], [[[255, 255]]]]
    np.testing.assert_array_equal(y.get(), [[[[3, np.nan]]], [[[0, 0]]]])
    gx, gb = k.bias_relu_max_pool2d_backward(gpu.ones(y.shape), code, x.shape, *options)
    right = reference.max_pool2d_backward(np.ones((2, 1, 1, 2)), code.get(), x.shape, *options)
    np.testing.assert_array_equal(gx.get(), right)
    assert gb.tolist() == [2]


@pytest.mark.parametrize("shape", [(5, 7), (2, 3, 4, 5), (40, 2, 3, 3), (0, 3), (70, 40)])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_bias_and_relu(gpu, dtype, shape):
    x, b, g = values(shape, dtype, 0), values(shape[1:2], dtype, 1), values(shape, dtype, 2)
    ours = [mg.tensor(v, device="cuda", requires_grad=True) for v in (x, b)]
    y = fused.bias_relu(*ours)
    y.backward(mg.tensor(g, device="cuda"))
    right = np.maximum(x + b.reshape(-1, *[1] * (len(shape) - 2)), 0)
    gx = g * (right > 0)
    np.testing.assert_array_equal(y.detach().cpu().numpy(), right)
    np.testing.assert_array_equal(ours[0].grad.cpu().numpy(), gx)
    gb = gx.astype("float64").sum(axis=(0, *range(2, len(shape)))).astype(dtype)
    np.testing.assert_array_equal(ours[1].grad.cpu().numpy(), gb)


@pytest.mark.parametrize("device", ["cpu", "cuda"], indirect=True)
def test_a_nan_has_a_gradient_and_what_is_cut_off_has_none(device):
    """As in PyTorch, one by one and in one pass; on a GPU even where g is no number."""
    x = np.array([[[[np.nan, 1], [2, -1]], [[-1, 0], [-2, -3]], [[4, 5], [np.inf, 3]]]])
    g = np.array([1.0, 2.0 if device == "cpu" else np.inf, 3.0])[None, :, None, None]
    pooled = torch.nn.functional.max_pool2d, F.max_pool2d
    for pool, mine in (pooled, (lambda x, size: x, lambda x, size: x)):
        theirs = torch.tensor(x, requires_grad=True)
        y = pool(torch.relu(theirs), 2)
        y.backward(torch.tensor(np.broadcast_to(g, y.shape)))
        b = mg.zeros(3, dtype=mg.float64, device=device)
        runs = [lambda x, mine=mine: mine(x.relu(), 2)]
        if device == "cuda" and pool is pooled[0]:
            runs.append(lambda x, b=b: fused.bias_relu_max_pool2d(x, b, 2, 2, 0, 1, False))
        elif device == "cuda":
            runs.append(lambda x, b=b: fused.bias_relu(x, b))
        for run in runs:
            ours = mg.tensor(x, device=device, requires_grad=True)
            out = run(ours)
            out.backward(mg.tensor(np.broadcast_to(g, y.shape), device=device))
            np.testing.assert_array_equal(out.detach().cpu().numpy(), y.detach().numpy())
            np.testing.assert_array_equal(ours.grad.cpu().numpy(), theirs.grad.numpy())


def net() -> nn.Sequential:
    mg.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2),
        nn.Conv2d(4, 5, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(5, 6, 1, bias=False), nn.ReLU(),
        nn.MaxPool2d(2), nn.Conv2d(6, 6, 1), nn.ReLU(), nn.Flatten(), nn.Linear(6, 9), nn.ReLU(),
        nn.Linear(9, 3),
    )  # fmt: skip


def train(device: str, hooked: bool = False) -> tuple[list[np.ndarray], list[str]]:
    model, names = net().to(device), []
    if hooked:
        for layer in model:
            layer.register_forward_hook(lambda *args: None)
    x = mg.tensor(values((2, 1, 14, 14), "float32", 0), device=device)
    with mg.autograd.watch_calls(lambda function, *rest: names.append(type(function).__name__)):
        loss = (model(x) ** 2).sum()
    loss.backward()
    return [p.grad.cpu().numpy() for p in model.parameters()], names


def test_a_network_on_a_gpu_uses_it(gpu):
    right, on_cpu = train("cpu")
    mine, on_gpu = train("cuda")
    watched, hooked = train("cuda", hooked=True)
    count = on_gpu.count
    assert (count("BiasReLUMaxPool2d"), count("BiasReLU"), count("ReLU")) == (2, 2, 1)
    assert not any("Bias" in name for name in on_cpu + hooked)
    for others in (mine, watched):
        for a, b in zip(others, right, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_what_it_does_not_know_stays_apart(gpu):
    """Images without a batch, sequences of vectors, and a window too large for a byte."""
    layers = nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(16)
    cases = (
        (nn.Sequential(*layers[:2], nn.MaxPool2d(2)), (1, 8, 8)),
        (nn.Sequential(nn.Linear(4, 5), nn.ReLU()), (2, 3, 4)),
        (nn.Sequential(*layers), (1, 1, 20, 20)),
    )
    for model, shape in cases:
        x, runs = values(shape, "float32", 0), []
        for device in ("cpu", "cuda"):
            y = model.to(device)(mg.tensor(x, device=device))
            y.sum().backward()
            runs.append([y.tolist(), *(p.grad.tolist() for p in model.parameters())])
            model.zero_grad()
        for mine, right in zip(*runs, strict=True):
            np.testing.assert_allclose(mine, right, rtol=1e-5, atol=1e-5)
