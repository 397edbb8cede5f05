"""The templates: what is demanded of every op, with every sample of the table."""

from __future__ import annotations

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


def params(cases: list[Any]) -> list[Any]:
    return [pytest.param(*case, id=f"{case[0].name}-{case[1].name}") for case in cases]


def is_differentiable(sample: Sample) -> bool:
    return any(isinstance(x, Input) and x.differentiable for x in sample.inputs)


ON_DEVICES = [
    pytest.param(op, sample, dtype, device, id=f"{op.name}-{sample.name}-{dtype}-{device}")
    for op, sample in CASES
    for dtype in ("float64", "float32", "float16")
    for device in DEVICES
    if device == "cpu" or not op.draws
]
REFERENCED = params([
    (op, sample) for op, sample in CASES if op.reference and sample.name not in op.unreferenced
])
DIFFERENTIABLE = params([(op, sample) for op, sample in CASES if is_differentiable(sample)])
CHECKABLE = params([
    (op, sample) for op, sample in CASES if op.numerical and is_differentiable(sample)
])
METHODS = params([
    (op, sample) for op, sample in CASES
    if not op.ours and hasattr(mg.Tensor, op.name) and isinstance(sample.inputs[0], Input)
])


@pytest.mark.parametrize(("op", "sample", "dtype", "device"), ON_DEVICES)
def test_against_torch(op: Op, sample: Sample, dtype: str, device: str) -> None:
    """Outputs, gradients and their dtypes are PyTorch's, and the inputs are as they were."""
    against_torch(op, sample, device, dtype)


def test_bfloat16_against_torch() -> None:
    """The same of bfloat16 on the CPU: two samples an op, in one test."""
    for op, sample in [case for case in CASES if case[1] in case[0].samples[:2]]:
        try:
            against_torch(op, sample, "cpu", "bfloat16")
        except Exception as error:
            error.add_note(f"{op.name}, {sample.name}")
            raise


@pytest.mark.parametrize(("op", "sample"), REFERENCED)
def test_against_reference(op: Op, sample: Sample) -> None:
    """The reference kernels, plain loops, agree with the ops in values and gradients."""
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


@pytest.mark.parametrize(("op", "sample"), CHECKABLE)
def test_gradcheck(op: Op, sample: Sample) -> None:
    """The gradients are the numerical ones: to 11 digits, where a complex step is possible."""
    inputs = place_all(sample.inputs, make(sample.name, sample.inputs))
    tolerance = 1e-11 if op.numerical == "complex" else 1e-6
    assert mg.gradcheck(
        lambda *xs: op.call_ours(*xs, **sample.options), inputs,
        atol=tolerance, rtol=tolerance, method=op.numerical, every=200,
    )


@pytest.mark.parametrize(("op", "sample"), DIFFERENTIABLE)
def test_needs_input_grad(op: Op, sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
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


@pytest.mark.parametrize(("op", "sample"), METHODS)
def test_method(op: Op, sample: Sample) -> None:
    """`x.exp()` is `minigrad.exp(x)`."""
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


def test_dropout_keeps_the_mean(device: str) -> None:
    """Where x is 1, y is its own derivative: the mask, divided by the part that is kept."""
    x = mg.ones(200, 300, device=device, requires_grad=True)
    y = mg.ops.dropout(x, p=0.25)
    y.sum().backward()
    np.testing.assert_array_equal(numpy_of(y), numpy_of(x.grad))
    np.testing.assert_allclose(np.unique(numpy_of(y)), [0.0, 4 / 3], rtol=1e-6)
    assert abs(y.mean().item() - 1) < 0.01
