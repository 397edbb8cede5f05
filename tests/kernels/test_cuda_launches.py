"""What is one launch stays one: the optimizers, the loss, bias with ReLU and pool; and these three,
which are no ops of the table, on empty batches and on views."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn, optim
from minigrad.nn import functional as F
from minigrad.nn.functional import fused
from minigrad.nn.functional.loss import cross_entropy_and_hits
from tests.ops.samples import Input, make
from tests.ops.table import OPS

# Ops whose work is done by `.cu` files, or by cuBLAS through the binding.
OWN = (
    "conv2d", "conv_transpose2d", "linear", "matmul", "max_pool2d", "avg_pool2d",
    "adaptive_avg_pool2d", "local_response_norm", "batch_norm", "layer_norm", "group_norm",
    "softmax", "log_softmax", "cross_entropy", "relu", "dropout", "unfold", "fold", "gather",
    "index_select", "sum", "mean",
)  # fmt: skip


@pytest.fixture
def launched(gpu, monkeypatch) -> list[str]:
    """The names of the kernels, as they are launched, without their types."""
    names: list[str] = []

    def launch(name: bytes, *rest: Any) -> bool:
        names.append(name.decode().partition("<")[0])
        return library.launch(name, *rest)

    library = gpu.library
    monkeypatch.setattr(
        gpu, "library", SimpleNamespace(launch=launch, parameter_kind=library.parameter_kind)
    )
    return names


@pytest.mark.parametrize(
    ("kind", "options", "names"),
    [
        (optim.SGD, {"lr": 0.1, "momentum": 0.9}, ["sgd_step"]),
        (optim.Adam, {}, ["adam_rates", "adam_step"]),
        (optim.AdamW, {}, ["adam_rates", "adam_step"]),
    ],
)  # fmt: skip
def test_all_parameters_are_updated_by_one_launch(launched, kind, options, names):
    """Adam's first works out two numbers a parameter."""
    params = [nn.Parameter(mg.ones(n, device="cuda")) for n in range(1, 61)]
    optimizer = kind(params, **options)
    for p in params:
        p.grad = mg.ones_like(p)
    for expected in (["write_numbers", *names], names):  # the rates are written once
        launched.clear()
        optimizer.step()
        assert launched == expected


def test_the_loss_its_gradient_and_the_hits_take_one_pass(launched):
    """And a block that adds up what it gave for each row, and one multiplication backwards."""
    x = mg.randn(9, 5, device="cuda", requires_grad=True)
    t = mg.tensor([0, 1, 2, 3, 4, 0, 1, 2, 3], device="cuda")
    launched.clear()
    loss, _ = cross_entropy_and_hits(x, t)
    assert launched == ["cross_entropy", "cross_entropy_sums"]
    loss.backward()
    assert launched[2:] == ["cross_entropy_backward"]


@pytest.mark.parametrize("n", [0, 3])
def test_what_is_fused_takes_views_and_nothing_at_all(gpu, n):
    """As the composed operations on the CPU; the view has its axes swapped."""
    rng = np.random.default_rng(0)
    image, scores = rng.standard_normal((n, 2, 7, 6)), rng.standard_normal((4, n))
    bias, target = rng.standard_normal(2), rng.integers(0, 4, n)
    results = []
    for device in ("cpu", "cuda"):
        x, s, b = (mg.tensor(v, device=device, requires_grad=True) for v in (image, scores, bias))
        view, t = x.transpose(2, 3), mg.tensor(target, device=device)
        if device == "cuda":
            y = fused.bias_relu(view, b)
            z = fused.bias_relu_max_pool2d(view, b, 3, 2, 1, 1, False)
        else:
            y = (view + b[:, None, None]).relu()
            z = F.max_pool2d(y, 3, 2, 1)
        loss = F.cross_entropy(s.t(), t, reduction="sum")
        (y.sum() + (z * z).sum() + loss).backward()
        values = y, z, loss, x.grad, s.grad, b.grad
        results.append([v.detach().cpu().numpy() for v in values])
    assert results[1][1].shape == (n, 2, 3, 4)
    for right, mine in zip(*results, strict=True):
        np.testing.assert_allclose(mine, right, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", OWN)
def test_the_table_has_an_empty_batch_and_a_view_of(name):
    """Samples that `test_cuda_ops.py` runs on the double, and `test_ops.py` on a GPU."""
    samples = [sample for op in OPS if op.name == name for sample in op.samples]
    arrays = [value for s in samples for value in make(s.name, s.inputs) if hasattr(value, "size")]
    recipes = [recipe for s in samples for recipe in s.inputs if isinstance(recipe, Input)]
    assert any(array.size == 0 for array in arrays)
    assert any(not recipe.contiguous for recipe in recipes)
