"""Recording and reversing: what `backward` accumulates, what it refuses, and what it says then."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.autograd import Function

# ----------------------------------------------------------------------------------- accumulation


def leaf(*values: Any, device: str = "cpu") -> mg.Tensor:
    return mg.tensor(list(values), dtype=mg.float64, device=device, requires_grad=True)


def test_two_backwards_accumulate(device: str) -> None:
    x = leaf(1.0, 2.0, device=device)
    (x * 3).sum().backward()
    (x * x).sum().backward()
    assert x.grad.tolist() == [5.0, 7.0]


@pytest.mark.parametrize("op", ["mean", "sum", "amax", "t", "clone", "relu", "max"])
def test_every_gradient_can_be_added_to(op: str) -> None:
    """Some backwards return broadcast or transposed views; a leaf's gradient is its own memory."""
    x = mg.tensor([[1.0, 3.0], [2.0, 5.0]], requires_grad=True)
    gradients = []
    for _ in range(2):
        y = getattr(x, op)()
        y.backward(mg.ones_like(y))
        gradients.append(x.grad.numpy().copy())
    np.testing.assert_array_equal(gradients[1], 2 * gradients[0])
    assert x.grad.is_contiguous()


def test_diamond(device: str) -> None:
    """x reaches z on three ways, and each operation runs backward once."""
    runs = []

    class Triple(Function):
        def forward(self, x: Any) -> Any:
            return x * 3

        def backward(self, g: Any) -> Any:
            runs.append(g)
            return g * 3

    x = leaf(2.0, device=device)
    y = Triple.apply(x)
    z = y * y + y + x
    z.sum().backward()
    assert x.grad.tolist() == [2 * 6 * 3 + 3 + 1]
    assert len(runs) == 1


@pytest.mark.parametrize("reverse", [True, False], ids=["backward", "dropped"])
def test_a_long_chain(reverse: bool) -> None:
    """Neither the walk nor the destruction of the graph recurses."""
    x = leaf(1.0)
    y = x
    for _ in range(10_000):
        y = y + 1.0
    if reverse:
        y.backward()
        assert x.grad.item() == 1.0
    del y


def test_gradients_do_not_alias() -> None:
    a, b, v = leaf(1.0, 2.0), leaf(3.0, 4.0), mg.tensor([1.0, 1.0], dtype=mg.float64)
    (a + b).backward(v)
    a.grad.add_(10.0)
    assert b.grad.tolist() == [1.0, 1.0]
    assert v.tolist() == [1.0, 1.0]


def test_the_gradient_of_a_leaf_alone_is_a_copy() -> None:
    x, v = leaf(1.0), mg.tensor([2.0], dtype=mg.float64)
    x.backward(v)
    v.zero_()
    assert x.grad.tolist() == [2.0]


def test_retained_gradients_do_not_alias() -> None:
    x = leaf(1.0, 2.0)
    y = x.reshape(2, 1)
    y.retain_grad()
    z = y.clone()
    z.retain_grad()
    z.backward(mg.ones(2, 1))
    z.grad.fill_(7)
    y.grad.fill_(8)
    assert x.grad.tolist() == [1.0, 1.0]


def test_saved_arrays_do_not_become_gradients() -> None:
    """d(a b)/da is b: but a.grad must not be b's memory."""

    class Product(Function):
        def forward(self, a: Any, b: Any) -> Any:
            self.save_for_backward(a, b)
            return a * b

        def backward(self, g: Any) -> Any:
            a, b = self.saved_tensors
            return b, a  # right for g = 1

    a, b = leaf(2.0), leaf(3.0)
    Product.apply(a, b).backward()
    a.grad.zero_()
    assert b.item() == 3.0
    assert b.grad.item() == 2.0


# ------------------------------------------------------------------------------------ the protocol


def test_second_backward_needs_retain_graph() -> None:
    x = leaf(2.0)
    y = x * x
    y.backward()
    with pytest.raises(RuntimeError, match=r"\[Mul\] .*second time.*retain_graph=True"):
        y.backward()
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [12.0]


def test_retain_grad() -> None:
    x = leaf(2.0)
    y = x * 3
    z = y * y
    y.retain_grad()
    z.backward()
    assert y.grad.tolist() == [12.0]
    assert z.grad is None
    x.retain_grad()  # nothing to do for a leaf
    with pytest.raises(RuntimeError, match="retain_grad on Tensor that has requires_grad=False"):
        mg.ones(2).retain_grad()


def test_backward_refuses() -> None:
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match="does not require grad"):
        mg.ones(1).backward()
    with pytest.raises(RuntimeError, match=r"scalar outputs, not for shape \(2,\)"):
        (x * 2).backward()
    with pytest.raises(RuntimeError, match=r"gradient has shape \(3,\).*\(2,\)"):
        (x * 2).backward(mg.ones(3))


def test_backward_accepts_any_kind_of_gradient() -> None:
    x = leaf(1.0, 2.0)
    for gradient in (mg.ones(2), np.ones(2, np.float32), [1.0, 1.0]):
        (x * 2).backward(gradient)
    assert x.grad.tolist() == [6.0, 6.0]
    assert x.grad.dtype == mg.float64


def test_requires_grad_() -> None:
    x = mg.ones(2)
    assert x.requires_grad_() is x
    with pytest.raises(RuntimeError, match="floating point dtype can require gradients, not int64"):
        mg.tensor([1]).requires_grad_()
    with pytest.raises(RuntimeError, match="floating point"):
        mg.tensor([1], requires_grad=True)
    with pytest.raises(RuntimeError, match=r"leaf variables.*detach\(\)"):
        (x * 2).requires_grad_(False)


def test_integers_end_the_graph() -> None:
    x = leaf(1.5, 2.5)
    assert not x.long().requires_grad
    assert not (x > 2).requires_grad
    assert not x.argmax().requires_grad
    assert x.max(0).values.requires_grad
    assert not x.max(0).indices.requires_grad


def test_detach_shares_memory_and_no_history() -> None:
    x = leaf(1.0, 2.0)
    y = (x * 2).detach()
    assert y.is_leaf
    assert not y.requires_grad
    z = x * y
    z.sum().backward()
    assert x.grad.tolist() == [2.0, 4.0]
    assert np.shares_memory(x.detach().numpy(), x.array)


# -------------------------------------------------------------------------------------- the switch


def test_no_grad_and_enable_grad_nest() -> None:
    x = leaf(1.0)
    with mg.no_grad():
        assert not (x * 2).requires_grad
        with mg.enable_grad():
            assert (x * 2).requires_grad
        with mg.set_grad_enabled(True):
            assert (x * 2).requires_grad
        assert not mg.is_grad_enabled()
    assert (x * 2).requires_grad


def test_switches_as_decorators() -> None:
    x = leaf(1.0)

    @mg.no_grad()
    def off() -> bool:
        """Documented."""
        return (x * 2).requires_grad

    @mg.enable_grad()
    def on() -> bool:
        return (x * 2).requires_grad

    @mg.set_grad_enabled(False)
    def also_off() -> bool:
        return (x * 2).requires_grad

    assert mg.is_grad_enabled()
    assert (off(), on(), also_off()) == (False, True, False)
    with mg.no_grad():
        assert on()
    assert off.__doc__ == "Documented."


def test_set_grad_enabled_as_a_call() -> None:
    mg.set_grad_enabled(False)
    assert not mg.is_grad_enabled()
    mg.set_grad_enabled(True)
    assert mg.is_grad_enabled()


def test_the_switch_survives_errors() -> None:
    with pytest.raises(ZeroDivisionError), mg.no_grad():
        raise ZeroDivisionError
    assert mg.is_grad_enabled()


def test_each_thread_has_its_own_switch() -> None:
    seen = []
    with mg.no_grad():
        thread = threading.Thread(target=lambda: seen.append(mg.is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


# ------------------------------------------------------------------------- functions of one's own


class Scale(Function):
    """y = factor x, where the factor may be a number, and a shift may be None."""

    def forward(self, x: Any, factor: Any, shift: Any) -> Any:
        self.save_for_backward(x, None)
        self.factor = factor
        return x * factor if shift is None else x * factor + shift

    def backward(self, g: Any) -> Any:
        return g * self.factor, None, g


def test_numbers_and_none_as_inputs() -> None:
    x, shift = leaf(1.0, 2.0), leaf(5.0, 5.0)
    Scale.apply(x, 3.0, None).sum().backward()
    Scale.apply(x, 2.0, shift).sum().backward()
    assert x.grad.tolist() == [5.0, 5.0]
    assert shift.grad.tolist() == [1.0, 1.0]
    fn = Scale.apply(x, 3.0, None).grad_fn
    assert fn.needs_input_grad == (True, False, False)
    assert fn.edges[1:] == (None, None)


def test_by_products_have_no_gradient() -> None:
    class Split(Function):
        def forward(self, x: Any) -> Any:
            return x * 2, x > 0, None

        def backward(self, g: Any) -> Any:
            return g * 2

    x = leaf(1.0, -1.0)
    y, positive, nothing = Split.apply(x)
    assert positive.tolist() == [True, False]
    assert not positive.requires_grad
    assert nothing is None
    y.sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]


def returning(gradient: Any) -> type[Function]:
    class Wrong(Function):
        def forward(self, x: Any, y: Any) -> Any:
            return x + y

        def backward(self, g: Any) -> Any:
            return gradient(g)

    return Wrong


@pytest.mark.parametrize(
    ("gradient", "message"),
    [
        pytest.param(lambda g: (g[:1], g), r"shape \(1,\) .* input 0, which has shape \(2,\)",
                     id="shape"),
        pytest.param(lambda g: (g, np.stack([g, g])), r"shape \(2, 2\) .* for input 1",
                     id="broadcast"),
        pytest.param(lambda g: (g, g.astype(np.float32)), "dtype float32 for input 1", id="dtype"),
        pytest.param(lambda g: g, "returned 1 gradients for 2 inputs", id="number"),
        pytest.param(lambda g: (g, None), "returned no gradient for input 1", id="none"),
    ],
)
def test_a_wrong_function_is_named(gradient: Any, message: str) -> None:
    y = returning(gradient).apply(leaf(1.0, 2.0), leaf(3.0, 4.0))
    with pytest.raises(RuntimeError, match=rf"\[Wrong\] backward {message}|\[Wrong\].*{message}"):
        y.sum().backward()


def test_a_function_without_a_gradient_says_so() -> None:
    class OneWay(Function):
        def forward(self, x: Any) -> Any:
            return x * 2

    with pytest.raises(NotImplementedError, match="OneWay has no gradient"):
        OneWay.apply(leaf(1.0)).backward()


def test_errors_in_backward_say_where() -> None:
    def fail(g: Any) -> Any:
        raise ZeroDivisionError("oops")

    y = returning(fail).apply(leaf(1.0, 2.0), leaf(3.0, 4.0))
    with pytest.raises(ZeroDivisionError, match="oops") as caught:
        y.sum().backward()
    assert caught.value.__notes__ == [
        "in the backward of Wrong, whose inputs have shapes (2,), (2,)"
    ]


def test_detect_anomaly_names_the_line() -> None:
    x = leaf(0.0, 1.0)
    with mg.detect_anomaly(), pytest.raises(RuntimeError) as caught:
        y = x.sqrt() * 0.0  # the line to be named
        y.sum().backward()
    assert "[Sqrt] backward returned NaN for input 0" in str(caught.value)
    assert "# the line to be named" not in str(caught.value)
    assert any("x.sqrt() * 0.0" in note for note in caught.value.__notes__)


def test_without_detect_anomaly_nan_passes() -> None:
    x = leaf(0.0, 1.0)
    (x.sqrt() * 0.0).sum().backward()
    assert np.isnan(x.grad.array[0])


def test_backward_in_another_thread() -> None:
    x = leaf(3.0)
    y = x * x
    thread = threading.Thread(target=y.backward)
    thread.start()
    thread.join()
    assert x.grad.tolist() == [6.0]


def test_float16_gradients_are_summed_in_float32() -> None:
    """4096 ones, broadcast: a running float16 sum would stop at 2048."""
    bias = mg.zeros(1, 2, dtype=mg.float16, requires_grad=True)
    (mg.ones(4096, 2, dtype=mg.float16) + bias).backward(mg.ones(4096, 2))
    assert bias.grad.tolist() == [[4096.0, 4096.0]]


# ----------------------------------------------------------------------------------- watched calls


def test_calls_are_watched_in_this_thread_and_inside_the_block() -> None:
    seen: list[Any] = []
    x = leaf(1.0, 2.0)

    def watcher(fn: Function, inputs: Any, options: Any, output: mg.Tensor) -> None:
        seen.append((fn.name(), inputs, options, output))
        assert output.grad_fn is fn

    with mg.autograd.watch_calls(watcher):
        y = (x * 3).sum()
        thread = threading.Thread(target=lambda: x * 5)
        thread.start()
        thread.join()
    x * 7
    (mul, (a, three), nothing, product), (total, (b,), options, result) = seen
    assert (mul, nothing, total) == ("Mul", {}, "Sum")
    assert a is x and three == 3 and b is product and result.tolist() == y.tolist()
    assert options == {"axes": (0,), "keepdim": False}


def test_the_watcher_goes_when_the_block_fails() -> None:
    with pytest.raises(ZeroDivisionError), mg.autograd.watch_calls(lambda *_: 1 / 0):
        leaf(1.0) * 2
    assert (leaf(1.0) * 2).tolist() == [2.0]


def test_second_derivatives_are_refused_by_name():
    x = mg.ones(2, requires_grad=True)
    with pytest.raises(NotImplementedError, match="create_graph: there are only first derivatives"):
        x.sum().backward(create_graph=True)
    assert x.grad is None
