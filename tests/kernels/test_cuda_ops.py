"""Every op of the table on the double of a GPU: forward, backward, empty batches, odd strides.

Each sample of `tests/ops/table` must give what PyTorch gives, as on the CPU and within the same
tolerance: all in float32, and the first of each op in float16, too. None may wait for the GPU but
those that PyTorch waits for. Samples whose only point is the CPU's threads are left to the CPU.

What this cannot show, because NumPy computes where CuPy would: that CuPy's functions round, compare
NaN, break ties and treat positions out of range as NumPy's do; that the sums of a GPU, which are in
another order, stay within the tolerance; that its exp and pow, and denormals (`-ftz=true` drops
them), do. On a machine with a GPU `tests/ops/test_ops.py` runs the same samples there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from tests.ops.checks import against_torch, numpy_of
from tests.ops.samples import Op, Sample, make, place_all
from tests.ops.table import OPS

FOR_THE_CPU = {"threads", "blocks"}
WAITING = {  # the shape of the result, or the result itself, is known only when the GPU is done
    "where": {"indices", "vector"}, "one_hot": {"0d", "more", "rows"}, "equal": {"same", "other"},
    "getitem": {"mask", "mask-nothing", "mask-rows"}, "index_put": {"mask"},
    "narrow": {"tensor"}, "to": {"device"},
}  # fmt: skip
REPEATABLE = [pytest.param(op, id=f"{op.name}-{i}") for i, op in enumerate(OPS) if not op.draws]
DRAWING = [pytest.param(op, id=op.name) for op in OPS if op.draws]


def samples(op: Op) -> list[Sample]:
    return [sample for sample in op.samples if sample.name not in FOR_THE_CPU]


@pytest.mark.parametrize("op", REPEATABLE)
def test_op(gpu: Any, op: Op, monkeypatch: pytest.MonkeyPatch) -> None:
    def guarded(function: Callable[..., Any], sample: Sample) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            with gpu.no_waiting():
                return function(*args, **options)

        return function if sample.name in WAITING.get(op.name, ()) else call

    backward = mg.Tensor.backward
    for sample in samples(op):
        monkeypatch.setattr(mg.Tensor, "backward", guarded(backward, sample))
        watched = replace(op, ours=guarded(op.call_ours, sample), theirs=op.call_theirs)
        for dtype in ("float32", "float16") if sample is op.samples[0] else ("float32",):
            try:
                against_torch(watched, sample, "cuda", dtype)
            except BaseException as error:
                error.add_note(f"sample {sample.name!r} in {dtype}")
                raise


@pytest.mark.parametrize("op", DRAWING)
def test_op_that_draws(gpu: Any, op: Op) -> None:
    """Which elements fall is every device's own; y = x m, and so the gradient is m, too."""
    for sample in samples(op):
        (x,) = place_all(sample.inputs, make(sample.name, sample.inputs, "float32"), "cuda")
        with gpu.no_waiting():
            y = op.call_ours(x, **sample.options)
            y.sum().backward()
        assert y.is_cuda and y.shape == x.shape and y.dtype == x.dtype
        np.testing.assert_array_equal(numpy_of(y), numpy_of(x) * numpy_of(x.grad))
        p, training = sample.options["p"], sample.options.get("training", True)
        values = {0.0, 1 / (1 - p)} if training and p < 1 else {float(not training)}
        assert set(np.unique(numpy_of(x.grad))) <= set(map(np.float32, values)), sample.name


def test_the_exceptions_exist() -> None:
    for name, waiting in WAITING.items():
        assert waiting <= {sample.name for op in OPS if op.name == name for sample in op.samples}
