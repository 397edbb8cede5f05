"""Cross-entropy in one pass on the GPU gives what the composed operations give on the CPU."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from minigrad.kernels import reference
from minigrad.nn import functional as F
from minigrad.nn.functional.loss import cross_entropy_and_hits

TOLERANCE = {"float16": 2e-3, "float32": 2e-6, "float64": 1e-14}


def scores(shape: tuple[int, int], dtype: str) -> np.ndarray:
    """Scores with ties, not contiguous; one row with an infinite one."""
    x = np.round(np.random.default_rng(0).standard_normal(shape[::-1]).T * 4) / 4
    if shape[1] > 1:
        x[1, 0] = -np.inf
    return x.astype(dtype)


def run(x: np.ndarray, targets: np.ndarray, device: str, **options) -> tuple:
    x, t = mg.tensor(x, device=device, requires_grad=True), mg.tensor(targets, device=device)
    loss = F.cross_entropy(x, t, **options)
    loss.sum().backward()
    return loss.detach().cpu().numpy(), x.grad.cpu().numpy()


@pytest.mark.parametrize("options", [{}, {"reduction": "sum"}, {"ignore_index": 3}], ids=str)
@pytest.mark.parametrize("shape", [(9, 10), (3, 1), (2, 70), (300, 4)])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_it_is_the_cpus(gpu, dtype, shape, options):
    x, targets = scores(shape, dtype), np.arange(shape[0])[::-1] % max(shape[1] - 1, 1)
    targets = targets + (shape[1] > 1)  # a score of minus infinity would make the loss infinite
    loss, gx = run(x, targets, "cuda", **options)
    expected, right_gx = run(x.astype("float64"), targets, "cpu", **options)
    assert loss.dtype == gx.dtype == dtype and loss.shape == ()
    tolerance = TOLERANCE[dtype]
    np.testing.assert_allclose(loss, expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(gx, right_gx, rtol=tolerance, atol=tolerance)
    if dtype == "float64":
        right = reference.cross_entropy(x, targets, None, **{"ignore_index": -100, **options})
        np.testing.assert_allclose(loss, right, rtol=tolerance)


@pytest.mark.parametrize(
    "options", [{"label_smoothing": 0.1}, {"reduction": "none"}, {"weight": [1.0, 2.0, 3.0, 4.0]}],
    ids=str,
)  # fmt: skip
def test_what_it_does_not_know_is_composed(gpu, options):
    x, targets = scores((7, 4), "float32"), np.arange(7) % 3 + 1
    x[1, 0] = 0
    runs = []
    for device in ("cuda", "cpu"):
        named = {k: mg.tensor(v, device=device) if k == "weight" else v for k, v in options.items()}
        runs.append(run(x, targets, device, **named))
    for mine, right in zip(*runs, strict=True):
        np.testing.assert_allclose(mine, right, rtol=1e-5, atol=1e-6)


def test_nothing_to_count(gpu):
    loss, gx = run(np.ones((2, 3), "float32"), np.array([-100, -100]), "cuda")
    assert np.isnan(loss) and (gx == 0).all()
    loss, gx = run(np.ones((0, 3), "float32"), np.zeros(0, int), "cuda", reduction="sum")
    assert loss == 0 and gx.shape == (0, 3)


def test_a_class_that_does_not_exist_gives_no_number(gpu):
    """To look for it would be to wait for the GPU."""
    for wrong in (3, -1):
        with gpu.no_waiting():
            loss = F.cross_entropy(mg.ones(2, 3, device="cuda"), mg.tensor([0, wrong]).to("cuda"))
        assert np.isnan(loss.item())


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_hits(gpu, device):
    """The highest score's first place is the prediction; nobody waits for the count."""
    x = np.array([[1, 3, 3], [1, 3, 3], [0, 0, 9], [5, 0, -np.inf]], "float32")
    x, targets = mg.tensor(x, device=device), mg.tensor([1, 2, 2, 0], device=device)
    x.requires_grad = True
    with gpu.no_waiting():
        loss, hits = cross_entropy_and_hits(x, targets)
        loss.backward()
    assert hits.item() == 3 and hits.dtype == mg.int64 and hits.shape == ()
    assert loss.item() == pytest.approx(F.cross_entropy(x, targets).item(), rel=1e-6)
    assert x.grad.shape == x.shape


def test_the_gradient_follows_what_comes_in(gpu):
    x = mg.tensor(scores((5, 4), "float32")[:, 1:], device="cuda", requires_grad=True)
    targets = mg.tensor([0, 1, 2, 0, 1], device="cuda")
    F.cross_entropy(x, targets).backward()
    once, x.grad = x.grad, None
    (F.cross_entropy(x, targets) * -3.0).backward()
    np.testing.assert_allclose(x.grad.tolist(), (once * -3).tolist(), rtol=1e-5, atol=1e-7)
