"""`autocast` beside PyTorch's on the CPU: which dtype comes out of what, and what is in it."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import Tensor, autograd, nn
from minigrad.amp.autocast_mode import LOWER, SINGLE_ON
from minigrad.nn import functional as F

HALVES = ["float16", "bfloat16"]
halves = pytest.mark.parametrize("half", HALVES)


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng([7, *shape]).standard_normal(shape).astype(np.float32)


T = torch.nn.functional
TARGETS = np.array([0, 2, 1, 2])
# (ours, theirs, shapes): what goes in is float32, once as it is and once after a product.
OPERATIONS: dict[str, tuple[Any, Any, list[tuple[int, ...]]]] = {
    "conv2d": (F.conv2d, T.conv2d, [(2, 3, 6, 6), (4, 3, 3, 3), (4,)]),
    "conv1d": (F.conv1d, T.conv1d, [(2, 3, 6), (4, 3, 3), (4,)]),
    "conv_transpose2d": (F.conv_transpose2d, T.conv_transpose2d, [(2, 3, 4, 4), (3, 4, 2, 2)]),
    "linear": (F.linear, T.linear, [(4, 6), (3, 6), (3,)]),
    "matmul": (mg.matmul, torch.matmul, [(4, 6), (6, 3)]),
    "bmm": (mg.bmm, torch.bmm, [(2, 4, 6), (2, 6, 3)]),
    "mm": (mg.mm, torch.mm, [(4, 6), (6, 3)]),
    "cross_entropy": (lambda x: F.cross_entropy(x, mg.tensor(TARGETS)),
                      lambda x: T.cross_entropy(x, torch.tensor(TARGETS)), [(4, 3)]),
    "nll_loss": (lambda x: F.nll_loss(x, mg.tensor(TARGETS)),
                 lambda x: T.nll_loss(x, torch.tensor(TARGETS)), [(4, 3)]),
    "mse_loss": (F.mse_loss, T.mse_loss, [(4, 3), (4, 3)]),
    "l1_loss": (F.l1_loss, T.l1_loss, [(4, 3), (4, 3)]),
    "smooth_l1_loss": (F.smooth_l1_loss, T.smooth_l1_loss, [(4, 3), (4, 3)]),
    "huber_loss": (F.huber_loss, T.huber_loss, [(4, 3), (4, 3)]),
    "kl_div": (lambda x: F.kl_div(x, x * x, reduction="sum"),
               lambda x: T.kl_div(x, x * x, reduction="sum"), [(4, 3)]),
    "bce_with_logits": (lambda x: F.binary_cross_entropy_with_logits(x, (x > 0).float()),
                        lambda x: T.binary_cross_entropy_with_logits(x, (x > 0).float()), [(4, 3)]),
    "local_response_norm": (lambda x: F.local_response_norm(x, 3),
                            lambda x: T.local_response_norm(x, 3), [(2, 4, 3, 3)]),
    "batch_norm": (lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True),
                   lambda x, w, b: T.batch_norm(x, None, None, w, b, training=True),
                   [(4, 3, 5, 5), (3,), (3,)]),
    "relu": (mg.relu, torch.relu, [(4, 3)]),
    "softmax": (lambda x: mg.softmax(x, 1), lambda x: torch.softmax(x, 1), [(4, 3)]),
    "log_softmax": (lambda x: mg.log_softmax(x, 1), lambda x: torch.log_softmax(x, 1), [(4, 3)]),
    "max_pool2d": (lambda x: F.max_pool2d(x, 2), lambda x: T.max_pool2d(x, 2), [(2, 3, 4, 4)]),
    "avg_pool2d": (lambda x: F.avg_pool2d(x, 2), lambda x: T.avg_pool2d(x, 2), [(2, 3, 4, 4)]),
    "exp": (mg.exp, torch.exp, [(4, 3)]),
    "pow": (lambda x: x**3, lambda x: x**3, [(4, 3)]),
    "sum": (lambda x: x.sum(), lambda x: x.sum(), [(4, 3)]),
    "prod": (lambda x: x.prod(), lambda x: x.prod(), [(4, 3)]),
    "add": (mg.add, torch.add, [(4, 3), (4, 3)]),
    "flatten": (lambda x: x.flatten(1), lambda x: x.flatten(1), [(4, 3, 2)]),
}  # fmt: skip


@halves
@pytest.mark.parametrize("lowered", [False, True], ids=["float32 in", "16 bits in"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_results_have_pytorchs_dtype_and_values(name: str, lowered: bool, half: str) -> None:
    """With the first input in float32, and in the type that a product before it would have left;
    gradients have the dtype of what they are the gradient of."""
    ours, theirs, shapes = OPERATIONS[name]
    arrays = [normal(*shape) for shape in shapes]
    leaves = [Tensor(a, requires_grad=True) for a in arrays]
    truths = [torch.from_numpy(a.copy()).requires_grad_() for a in arrays]
    inputs, wanted = list(leaves), list(truths)
    if lowered:
        inputs[0], wanted[0] = leaves[0].to(getattr(mg, half)), truths[0].to(getattr(torch, half))
    with mg.autocast("cpu", dtype=getattr(mg, half)):
        y = ours(*inputs)
    with torch.autocast("cpu", dtype=getattr(torch, half)):
        truth = theirs(*wanted)
    assert str(y.dtype) == str(truth.dtype).removeprefix("torch.")
    bound = {"float32": 1e-5, "float16": 2e-3, "bfloat16": 1.6e-2}[half]
    close(y, truth, bound)
    y.sum().backward()
    truth.sum().backward()
    for x, t in zip(leaves, truths, strict=True):
        assert x.grad.dtype == mg.float32
        close(x.grad, t.grad, 3 * bound)


def close(y: Tensor, truth: torch.Tensor, bound: float) -> None:
    truth = truth.detach().double().numpy()
    size = max(1.0, np.abs(truth).max())
    np.testing.assert_allclose(y.double().detach().numpy(), truth, rtol=0, atol=bound * size)


def test_the_lists_are_pytorchs() -> None:
    """What is float32 on CUDA alone, which cannot be asked: the table in torch.amp's manual."""
    assert {"Conv2d", "ConvTranspose2d", "Linear", "MatMul"} == LOWER
    assert SINGLE_ON["cuda"] - SINGLE_ON["cpu"] == {
        "CumSum", "Exp", "Log", "LogSoftmax", "LogSumExp", "Norm", "Pow", "Softmax", "Softplus",
        "Square", "Sum",
    }
    assert SINGLE_ON["cpu"] < SINGLE_ON["cuda"]


def test_listed_names_exist() -> None:
    def names(cls: type) -> set[str]:
        return {cls.__name__}.union(*(names(sub) for sub in cls.__subclasses__()))

    assert names(autograd.Function) >= LOWER | SINGLE_ON["cuda"]


def network() -> nn.Module:
    mg.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(0.0), nn.Linear(36, 3),
    )


@halves
def test_weights_statistics_and_gradients_stay_float32(half: str) -> None:
    net, x = network(), mg.randn(4, 1, 8, 8)
    with mg.autocast("cpu", dtype=getattr(mg, half)):
        y = net(x)
        assert y.dtype == getattr(mg, half)
        loss = F.cross_entropy(y, mg.tensor(TARGETS))
    assert loss.dtype == mg.float32
    loss.backward()
    for p in net.parameters():
        assert p.dtype == p.grad.dtype == mg.float32 and p.grad.abs().sum().item() > 0
    assert net[1].running_mean.dtype == mg.float32
    exact = net[0](x).mean((0, 2, 3)) * 0.1  # of 16-bit statistics some digits would be missing
    np.testing.assert_allclose(net[1].running_mean.numpy(), exact.detach().numpy(), atol=1e-3)
    rounded = net[1].running_mean.to(getattr(mg, half)).float()
    assert not mg.equal(net[1].running_mean, rounded)


@pytest.fixture
def casts(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shapes that were cast."""
    from minigrad.ops.convert import Cast

    shapes: list[tuple[int, ...]] = []
    forward = Cast.forward
    monkeypatch.setattr(
        Cast, "forward", lambda self, x, **o: (shapes.append(x.shape), forward(self, x, **o))[1]
    )
    return shapes


def test_a_weight_is_cast_once(casts: list[tuple[int, ...]]) -> None:
    w, x = nn.Parameter(mg.randn(5, 5)), mg.randn(2, 5, dtype=mg.float16)
    with mg.autocast("cpu", mg.float16):
        y = F.linear(F.linear(x, w), w)
        with mg.autocast("cpu", mg.float16):
            y = F.linear(y, w)
    assert casts == [(5, 5)]
    y.sum().backward()
    with mg.autocast("cpu", mg.float16):  # forgotten at the end
        F.linear(x, w)
    assert casts == [(5, 5)] * 2
    with mg.autocast("cpu", mg.float16, cache_enabled=False):
        F.linear(F.linear(x, w), w)
    assert casts == [(5, 5)] * 4


def test_a_weight_that_changes_is_cast_anew(casts: list[tuple[int, ...]]) -> None:
    w, x = nn.Parameter(mg.ones(3, 3)), mg.ones(1, 3)
    with mg.autocast("cpu", mg.float16):
        first = F.linear(x, w)
        with mg.no_grad():
            assert not F.linear(x, w).requires_grad
            w.mul_(2)
        second = F.linear(x, w)
        assert second.requires_grad
        w.data = mg.zeros(3, 3)
        third = F.linear(x, w)
    assert [y.sum().item() for y in (first, second, third)] == [9, 18, 0]


def test_nested_switched_off_and_forgotten() -> None:
    x, w = mg.ones(2, 3), mg.ones(4, 3)
    assert not mg.is_autocast_enabled("cpu")
    with mg.autocast("cpu", mg.float16):
        assert mg.is_autocast_enabled("cpu") and not mg.is_autocast_enabled()
        assert mg.get_autocast_dtype("cpu") == mg.float16
        with mg.autocast("cpu", enabled=False):
            assert not mg.is_autocast_enabled("cpu")
            assert F.linear(x, w).dtype == mg.float32
        with mg.amp.autocast("cpu"):
            assert F.linear(x, w).dtype == mg.bfloat16
        assert F.linear(x, w).dtype == mg.float16
        with pytest.raises(ZeroDivisionError), mg.autocast("cpu", enabled=False):
            1 / 0  # noqa: B018
        assert mg.is_autocast_enabled("cpu")
    assert F.linear(x, w).dtype == mg.float32
    assert mg.get_autocast_dtype("cpu") == mg.bfloat16
    assert mg.get_autocast_dtype("cuda") == mg.float16
    assert mg.is_autocast_available("cpu") and not mg.is_autocast_available("xpu")


def test_as_a_decorator_which_may_call_itself() -> None:
    @mg.autocast("cpu", dtype=mg.float16)
    def product(x: Tensor, depth: int) -> Tensor:
        return product(x, depth - 1) @ x if depth else x

    assert product(mg.eye(3), 3).dtype == mg.float16
    assert not mg.is_autocast_enabled("cpu") and product.__name__ == "product"


def test_float64_and_integers_are_left_alone() -> None:
    x, w = mg.ones(2, 3, dtype=mg.float64), mg.ones(4, 3, dtype=mg.float64)
    with mg.autocast("cpu", mg.float16):
        assert F.linear(x, w).dtype == mg.float64
        assert (mg.ones(2, 2, dtype=mg.int64) @ mg.ones(2, 2, dtype=mg.int64)).dtype == mg.int64
        with pytest.raises(RuntimeError, match=r"\[linear\] expected tensors of one dtype"):
            F.linear(x, w.float())


def test_what_cannot_be_switched_on_says_so() -> None:
    with pytest.raises(RuntimeError, match="unsupported device_type 'cuda:0'"):
        mg.autocast("cuda:0")
    with pytest.warns(UserWarning, match="dtype must be float16 or bfloat16, not float32"):
        context = mg.autocast("cpu", dtype=mg.float32)
    with context:
        assert not mg.is_autocast_enabled("cpu")


@pytest.mark.skipif(mg.cuda.is_available(), reason="of machines without a GPU")
def test_without_cuda_it_warns_and_does_nothing() -> None:
    for make in (lambda: mg.autocast("cuda"), mg.cuda.amp.autocast):
        with pytest.warns(UserWarning, match=r"\[autocast\] disabled: CuPy is "):
            context = make()
        with context:
            assert not mg.is_autocast_enabled()
            assert (mg.ones(2, 2) @ mg.ones(2, 2)).dtype == mg.float32
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mg.autocast("cuda", enabled=False)
        mg.cuda.amp.autocast(enabled=False)
