"""Changing tensors in place: PyTorch's gradients where that can be had, otherwise an error.

A wrong gradient is never the answer: what backward saved may not change unnoticed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import optim
from minigrad.kernels import cpu as kernels


def leaf(*values: float) -> mg.Tensor:
    return mg.tensor(list(values), dtype=mg.float64, requires_grad=True)


def both(function: Any) -> tuple[Any, Any]:
    """The gradient of x, where function(library, x) is the loss, in minigrad and in PyTorch."""
    values = [[0.5, -1.0, 2.0], [1.5, -0.5, 3.0]]
    ours = mg.tensor(values, dtype=mg.float64, requires_grad=True)
    theirs = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    function(mg, ours).backward()
    function(torch, theirs).backward()
    return ours.grad.numpy(), theirs.grad.numpy()


def add_to(lib: Any, x: Any) -> Any:
    y = x * x
    y += x
    return y.sum()


def scale(lib: Any, x: Any) -> Any:
    y = x + 1
    y *= 3
    y -= x
    y /= 2
    return (y * y).sum()


def rectify(lib: Any, x: Any) -> Any:
    y = x * 2
    return (y.relu_() * x).sum()


def write_row(lib: Any, x: Any) -> Any:
    y = x * x
    y[0] = x[1] * 5
    return (y * y).sum()


def write_number(lib: Any, x: Any) -> Any:
    y = x * x
    y[:, 1] = 0.0
    y[y > 3] = 1.0
    return (y * x).sum()


def fill_from_zeros(lib: Any, x: Any) -> Any:
    y = lib.zeros(2, 3, dtype=lib.float64)
    y[1] = x[0] * x[1]
    y += x
    return (y * y).sum()


def copy_into(lib: Any, x: Any) -> Any:
    y = lib.ones(2, 3, dtype=lib.float64) * x
    y.copy_(x[0] * 2)
    return (y * x).sum()


def through_a_view(lib: Any, x: Any) -> Any:
    y = x * 2
    row = y[0]
    row.mul_(x[1])
    return row.sum()


def not_saved(lib: Any, x: Any) -> Any:
    y = x * 2
    z = y + 1
    y += 100
    return (z * z).sum() + y.sum()


@pytest.mark.parametrize(
    "function",
    [add_to, scale, rectify, write_row, write_number, fill_from_zeros, copy_into, through_a_view,
     not_saved],
)
def test_in_place_gradients_are_pytorchs(function: Any) -> None:
    ours, theirs = both(function)
    np.testing.assert_allclose(ours, theirs, rtol=1e-14)


@pytest.mark.parametrize("layer", ["relu", "leaky_relu", "dropout"])
def test_inplace_layers_give_the_same_gradient(layer: str) -> None:
    grads = []
    for inplace in (False, True):
        mg.manual_seed(3)
        x = mg.randn(4, 5, dtype=mg.float64, requires_grad=True)
        h = x * 2
        y = getattr(F, layer)(h, inplace=inplace)
        assert (y is h) == inplace
        (y * y).sum().backward()
        grads.append(x.grad.numpy())
    np.testing.assert_array_equal(*grads)


@pytest.mark.parametrize("size", [5, 100_000])
def test_relu_writes_into_the_memory_that_it_was_given(size: int) -> None:
    h = mg.Tensor(kernels.copy(mg.randn(2, size).array), requires_grad=True) * 1
    truth, memory = F.relu(h.detach()).numpy(), h.array
    y = F.relu(h, inplace=True)
    assert y.array is memory
    assert y.grad_fn.saved_tensors[0] is memory, "it saves its result, not a copy"
    np.testing.assert_array_equal(memory, truth)


@pytest.mark.parametrize("size", [5, 100_000])
def test_relu_reaches_memory_that_no_kernel_can_write_to(size: int) -> None:
    foreign = np.linspace(-1.0, 1.0, 2 * size, dtype=np.float32).reshape(2, size)
    mg.from_numpy(foreign).T.relu_()
    assert foreign.min() == 0


def test_a_refused_relu_leaves_its_input_alone() -> None:
    x = leaf(-1.0, 2.0)
    with pytest.raises(RuntimeError, match="leaf Variable"):
        x.relu_()
    np.testing.assert_array_equal(x.detach().numpy(), [-1.0, 2.0])


# ------------------------------------------------------------------------------- what is refused


def test_a_leaf_cannot_be_changed() -> None:
    x = leaf(1.0, 2.0)
    message = "leaf Variable that requires grad.*no_grad"
    with pytest.raises(RuntimeError, match=message):
        x += 1
    with pytest.raises(RuntimeError, match=message):
        x[0] = 5.0
    with pytest.raises(RuntimeError, match=message):
        x[0].zero_()
    with pytest.raises(RuntimeError, match=message):
        x.detach().requires_grad_().view(1, 2).mul_(2)
    with mg.no_grad():
        x += 1
    assert x.tolist() == [2.0, 3.0]
    assert x.is_leaf


def saved_by_product(x: mg.Tensor) -> mg.Tensor:
    y = x * 2
    z = y * y
    y += 1
    return z


def saved_output(x: mg.Tensor) -> mg.Tensor:
    y = x.exp()
    y.mul_(2)
    return y


def saved_under_no_grad(x: mg.Tensor) -> mg.Tensor:
    z = x * x
    with mg.no_grad():
        x.add_(1)
    return z


def saved_and_detached(x: mg.Tensor) -> mg.Tensor:
    y = x.exp()
    y.detach().zero_()
    return y


def saved_and_viewed(x: mg.Tensor) -> mg.Tensor:
    y = x * 2
    z = y * y
    with mg.no_grad():
        y.view(2, 1)[0] = 5.0
    return z


def saved_and_optimized(x: mg.Tensor) -> mg.Tensor:
    z = x * x
    x.grad = mg.ones(2, dtype=mg.float64)
    optim.SGD([x], lr=0.1).step()
    return z


@pytest.mark.parametrize(
    "function",
    [saved_by_product, saved_output, saved_under_no_grad, saved_and_detached, saved_and_viewed,
     saved_and_optimized],
)
def test_changing_a_saved_array_is_an_error(function: Any) -> None:
    message = r"\[(Mul|Exp)\] one of the variables needed .* modified by an inplace operation"
    with pytest.raises(RuntimeError, match=message):
        function(leaf(1.0, 2.0)).sum().backward()


def test_only_what_backward_needs_may_not_change() -> None:
    """The weight is not needed when only its own gradient is: an optimizer may have moved on."""
    x, w, b = mg.ones(2, 3), mg.ones(4, 3).requires_grad_(), mg.zeros(4).requires_grad_()
    images, bank = mg.ones(1, 2, 3, 3), mg.ones(4, 2, 1, 1).requires_grad_()
    for y in (F.linear(x, w, b), x @ w.t(), x * w[:2], F.conv2d(images, bank)):
        with mg.no_grad():
            w.add_(1.0)
            bank.add_(1.0)
        y.sum().backward()
    assert w.grad.tolist() == [[5.0] * 3] * 2 + [[4.0] * 3] * 2
    assert bank.grad.flatten().tolist() == [9.0] * 8


def test_a_view_whose_base_was_changed_is_refused() -> None:
    """Its history does not show the change; a wrong gradient would be the alternative."""
    y = leaf(1.0, 2.0) * 2
    first = y[0]
    y += 1
    with pytest.raises(RuntimeError, match=r"\[Mul\] input 0 was changed in place through another"):
        first * 2
    assert y.sum().item() == 8.0


def test_in_place_keeps_shape_and_kind() -> None:
    with pytest.raises(RuntimeError, match=r"output with shape \(2,\).*broadcast shape \(3, 2\)"):
        mg.ones(2).add_(mg.ones(3, 2))
    with pytest.raises(RuntimeError, match="result type float32 can't be cast to int64"):
        mg.tensor([1, 2]).add_(1.5)
    x = mg.tensor([1.0, 2.0], dtype=mg.float16)
    x += mg.ones(2, dtype=mg.float64)
    assert x.dtype == mg.float16


def test_a_tensor_without_elements_can_be_written_to() -> None:
    """NumPy's empty arrays have steps of 0, as expanded ones do; there is nothing to write."""
    x = mg.zeros(0, 3) + 1
    x += 1
    assert x.shape == (0, 3)


def test_an_expanded_view_cannot_be_written_to() -> None:
    x = mg.ones(1, 3).expand(4, 3)
    with pytest.raises(RuntimeError, match=r"expanded.*clone\(\)"):
        x += 1
