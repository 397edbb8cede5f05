"""The templates: what is demanded of every op, with every sample of the table."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.autograd import Function
from tests.conftest import DEVICES
from tests.ops.checks import against_torch, assert_close, backward, cotangents, numpy_of
from tests.ops.samples import Input, Op, Sample, flat, make, place, place_all
from tests.ops.table import OPS

CASES = [(op, sample) for op in OPS for sample in op.samples]


def is_differentiable(sample: Sample) -> bool:
    return any(isinstance(x, Input) and x.differentiable for x in sample.inputs)


def by_op(cases: list[Any]) -> Any:
    """A test an op, which goes through its `cases`: a test a sample would be ten thousand."""
    grouped: dict[str, list[Any]] = {}
    for case in cases:
        grouped.setdefault(case[0].name, []).append(case)
    return pytest.mark.parametrize("cases", grouped.values(), ids=grouped)


def each(check: Callable[..., None], cases: list[Any]) -> None:
    """Every case from the same seed, also after one has failed; the failures name theirs."""
    failures = []
    for op, sample, *how in cases:
        mg.manual_seed(0)
        try:
            check(op, sample, *how)
        except Exception as error:
            error.add_note("in " + "-".join([op.name, sample.name, *how]))
            failures.append(error)
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise ExceptionGroup(f"{len(failures)} of {len(cases)} cases", failures)


IN_EACH_DTYPE = by_op([
    (op, sample, dtype) for op, sample in CASES for dtype in ("float64", "float32", "float16")
])
REFERENCED = by_op([
    (op, sample) for op, sample in CASES if op.reference and sample.name not in op.unreferenced
])
DIFFERENTIABLE = by_op([(op, sample) for op, sample in CASES if is_differentiable(sample)])
CHECKABLE = by_op([
    (op, sample) for op, sample in CASES if op.numerical and is_differentiable(sample)
])
METHODS = by_op([
    (op, sample) for op, sample in CASES
    if not op.ours and hasattr(mg.Tensor, op.name) and isinstance(sample.inputs[0], Input)
])


@IN_EACH_DTYPE
@pytest.mark.parametrize("device", DEVICES)
def test_against_torch(cases: list[Any], device: str) -> None:
    """Outputs, gradients and their dtypes are PyTorch's, and the inputs are as they were."""
    cases = [case for case in cases if device == "cpu" or not case[0].draws]
    each(lambda op, sample, dtype: against_torch(op, sample, device, dtype), cases)


def test_bfloat16_against_torch() -> None:
    """The same of bfloat16 on the CPU: two samples an op, in one test."""
    cases = [(op, sample, "bfloat16") for op, sample in CASES if sample in op.samples[:2]]
    each(lambda op, sample, dtype: against_torch(op, sample, "cpu", dtype), cases)


@REFERENCED
def test_against_reference(cases: list[Any]) -> None:
    """The reference kernels, plain loops, agree with the ops in values and gradients."""
    each(against_reference, cases)


def against_reference(op: Op, sample: Sample) -> None:
    values = make(sample.name, sample.inputs)
    inputs = place_all(sample.inputs, values)
    outputs = flat(op.call_ours(*inputs, **sample.options))
    assert op.reference is not None
    assert_close(numpy_of(outputs[0]), op.reference(*values, **sample.options), "output")
    if op.reference_backward is None:
        return
    weights = cotangents(sample.name, outputs)
    backward(outputs, weights)
    leaves = [x for x in inputs if isinstance(x, mg.Tensor) and x.requires_grad]
    grads = op.reference_backward(weights[0], *values, **sample.options)
    for i, (x, gx) in enumerate(zip(leaves, grads, strict=True)):
        assert_close(numpy_of(x.grad), gx, f"gradient {i}")


@CHECKABLE
def test_gradcheck(cases: list[Any]) -> None:
    """The gradients are the numerical ones: to 11 digits, where a complex step is possible."""
    each(gradcheck, cases)


def gradcheck(op: Op, sample: Sample) -> None:
    inputs = place_all(sample.inputs, make(sample.name, sample.inputs))
    tolerance = 1e-11 if op.numerical == "complex" else 1e-6
    assert mg.gradcheck(
        lambda *xs: op.call_ours(*xs, **sample.options), inputs,
        atol=tolerance, rtol=tolerance, method=op.numerical, every=32,
    )


@DIFFERENTIABLE
def test_needs_input_grad(cases: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever inputs need a gradient: they get the same one, and no other is computed."""
    computed: list[str] = []
    gradients_of, checked = Function._gradients, Function._checked

    def watch(fn: Function, g: Any) -> Any:
        fn.incoming = g
        return gradients_of(fn, g)

    def look(fn: Function, i: int, gx: Any) -> Any:
        needless = gx is not None and gx.size and not fn.needs_input_grad[i]
        if needless and not np.may_share_memory(gx, fn.incoming):
            computed.append(f"{fn.name()} computed the gradient of input {i}, which needs none")
        return checked(fn, i, gx)

    monkeypatch.setattr(Function, "_gradients", watch)
    monkeypatch.setattr(Function, "_checked", look)
    each(lambda op, sample: with_any_needed(op, sample, computed), cases)


def with_any_needed(op: Op, sample: Sample, computed: list[str]) -> None:
    computed.clear()
    values = make(sample.name, sample.inputs)
    possible = [isinstance(x, Input) and x.differentiable for x in sample.inputs]
    truths: list[Any] = []  # the gradients where all are needed, which is tried first
    for needed in product(*([True, False] if p else [False] for p in possible)):
        inputs = [
            place(recipe, value, "cpu", need)
            for recipe, value, need in zip(sample.inputs, values, needed, strict=True)
        ]
        outputs = flat(op.call_ours(*inputs, **sample.options))
        backward(outputs, cotangents(sample.name, outputs))
        grads = [x.grad if isinstance(x, mg.Tensor) else None for x in inputs]
        truths = truths or grads
        for gx, need, truth in zip(grads, needed, truths, strict=True):
            if need and truth is not None:
                np.testing.assert_array_equal(gx.array, truth.array)
            else:
                assert gx is None
    assert not computed


@METHODS
def test_method(cases: list[Any]) -> None:
    """`x.exp()` is `minigrad.exp(x)`."""
    each(as_method, cases)


def as_method(op: Op, sample: Sample) -> None:
    x, *others = place_all(sample.inputs, make(sample.name, sample.inputs))
    method = getattr(x, op.name)
    if op.name in ("reshape", "view", "expand", "permute", "flip", "broadcast_to", "repeat"):
        # x.view(2, 3), sizes one by one
        ours = [method(*sizes) for sizes in sample.options.values()]
    else:
        ours = flat(method(*others, **sample.options))
    expected = flat(op.call_ours(x, *others, **sample.options))
    for y, truth in zip(ours, expected, strict=True):
        np.testing.assert_array_equal(numpy_of(y), numpy_of(truth))


def test_a_failure_names_its_case_and_hides_no_other() -> None:
    ran = []

    def check(op: Op, sample: Sample, dtype: str) -> None:
        ran.append((float(mg.rand(1).item()), dtype))
        assert dtype != "float32", "wrong"

    op = OPS[0]
    cases = [(op, op.samples[0], dtype) for dtype in ("float32", "float64", "float32")]
    with pytest.raises(ExceptionGroup, match="2 of 3 cases") as caught:
        each(check, cases)
    name = f"in {op.name}-{op.samples[0].name}-float32"
    assert [error.__notes__ for error in caught.value.exceptions] == [[name]] * 2
    assert len(ran) == 3 and len({number for number, _ in ran}) == 1
    with pytest.raises(AssertionError, match="wrong") as caught_one:
        each(check, cases[:2])
    assert caught_one.value.__notes__ == [name]


def test_dropout_keeps_the_mean(device: str) -> None:
    """Where x is 1, y is its own derivative: the mask, divided by the part that is kept."""
    x = mg.ones(200, 300, device=device, requires_grad=True)
    y = mg.ops.dropout(x, p=0.25)
    y.sum().backward()
    np.testing.assert_array_equal(numpy_of(y), numpy_of(x.grad))
    np.testing.assert_allclose(np.unique(numpy_of(y)), [0.0, 4 / 3], rtol=1e-6)
    assert abs(y.mean().item() - 1) < 0.01
