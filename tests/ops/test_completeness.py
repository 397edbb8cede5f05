"""No op escapes the table: neither a Function, nor a public name, nor one that was promised."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from minigrad import ops
from minigrad.autograd import Function
from minigrad.kernels import reference
from minigrad.nn import functional
from tests.ops.samples import make, place_all
from tests.ops.table import OPS

NAMES = {op.name for op in OPS}
PROMISED = """
    add sub mul div neg pow exp log sqrt abs sum mean max min amax amin argmax var
    sin cos square sign floor ceil trunc round floor_divide
    where clamp clip maximum minimum masked_fill std prod cumsum logsumexp norm
    reshape view flatten transpose permute squeeze unsqueeze expand cat stack split chunk pad
    movedim narrow select flip roll broadcast_to meshgrid tril triu
    getitem gather index_select one_hot sort argsort topk
    matmul mm bmm addmm outer einsum
    relu sigmoid tanh leaky_relu softmax log_softmax linear conv2d unfold fold
    max_pool2d avg_pool2d adaptive_avg_pool2d local_response_norm batch_norm dropout
    cross_entropy nll_loss mse_loss
    conv1d conv_transpose1d conv_transpose2d max_pool1d avg_pool1d adaptive_max_pool1d
    adaptive_avg_pool1d adaptive_max_pool2d layer_norm group_norm instance_norm normalize
    gelu silu elu selu celu softplus relu6 hardtanh mish hardswish hardsigmoid logsigmoid
    l1_loss smooth_l1_loss huber_loss kl_div binary_cross_entropy binary_cross_entropy_with_logits
    dropout1d dropout2d interpolate pixel_shuffle pixel_unshuffle one_hot
"""


def functions(module: ModuleType) -> set[str]:
    return {name for name, f in vars(module).items()
            if inspect.isfunction(f) and not name.startswith("_")}


def subclasses(cls: type) -> Iterator[type]:
    for sub in cls.__subclasses__():
        yield sub
        yield from subclasses(sub)


@pytest.mark.parametrize("name", PROMISED.split())
def test_every_promised_op_is_in_the_table(name: str) -> None:
    assert name in NAMES


def test_every_public_op_is_in_the_table() -> None:
    assert functions(ops) - NAMES == set()
    assert functions(functional) - NAMES == set()


def test_every_function_is_run_by_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: set[type] = set()
    apply = Function.apply.__func__

    def record(cls: type[Function], *inputs: Any, **options: Any) -> Any:
        ran.add(cls)
        return apply(cls, *inputs, **options)

    monkeypatch.setattr(Function, "apply", classmethod(record))
    for op in OPS:
        for sample in op.samples:
            if sample.name not in ("threads", "blocks"):
                inputs = place_all(sample.inputs, make(sample.name, sample.inputs))
                op.call_ours(*inputs, **sample.options)
    existing = {f for f in subclasses(Function) if f.__module__.startswith("minigrad.")
                and f.__module__ != "minigrad.nn.functional.fused"}  # a GPU's: tests/kernels
    assert {f.__name__ for f in existing - ran} == set()


def test_samples_have_names_of_their_own() -> None:
    ids = [(op.name, sample.name) for op in OPS for sample in op.samples]
    assert len(set(ids)) == len(ids), "two samples of an op have one name"


def test_every_reference_kernel_is_compared() -> None:
    ran: set[Any] = set()
    sys.setprofile(lambda frame, event, arg: ran.add(frame.f_code))
    try:
        for op in OPS:
            sample = op.samples[0]
            values = make(sample.name, sample.inputs)
            y = op.reference(*values, **sample.options) if op.reference else None
            if op.reference_backward:
                op.reference_backward(y, *values, **sample.options)
    finally:
        sys.setprofile(None)
    kernels = {name: inspect.unwrap(getattr(reference, name)) for name in reference.__all__}
    assert {name for name, kernel in kernels.items() if kernel.__code__ not in ran} == set()
