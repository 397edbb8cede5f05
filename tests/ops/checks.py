"""Running a sample in minigrad and in PyTorch, and demanding that both come to the same.

The truth is PyTorch in float64, on the same numbers (rounded to the dtype that is tested), with a
random cotangent: a cotangent of ones is blind, since it makes the gradient of a softmax zero.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes  # noqa: F401 - so that NumPy knows the name bfloat16
import numpy as np
import torch

import minigrad as mg
from minigrad import backend
from tests.ops.samples import Op, Sample, flat, generator, make, place_all

# The largest error allowed, relative to the largest number of the result, if that is above 1.
TOLERANCE = {"float64": 1e-12, "float32": 1e-5, "float16": 1e-2, "bfloat16": 8e-2}


def against_torch(op: Op, sample: Sample, device: str, dtype: str) -> None:
    """Outputs, gradients and their dtypes are PyTorch's, and the inputs are as they were."""
    values = make(sample.name, sample.inputs, dtype)
    inputs = place_all(sample.inputs, values, device)
    outputs = flat(op.call_ours(*inputs, **sample.options))
    backward(outputs, cotangents(sample.name, outputs))
    truths, gradients = theirs(op, sample, values)
    assert len(outputs) == len(truths)
    for i, (y, truth) in enumerate(zip(outputs, truths, strict=True)):
        assert_close(numpy_of(y), truth, f"output {i}")
        if isinstance(y, mg.Tensor):
            assert str(y.device).startswith(device)
            assert str(y.dtype) == _dtype_of(truth, values, dtype, sample)
    for i, (x, value, gradient) in enumerate(zip(inputs, values, gradients, strict=True)):
        if not isinstance(x, mg.Tensor):
            continue
        now, before = backend.widened(numpy_of(x)), backend.widened(value)
        np.testing.assert_array_equal(now, before, err_msg=f"input {i} was changed")
        assert (x.grad is None) == (gradient is None), f"gradient {i}: {x.grad} for {gradient}"
        if x.grad is not None:
            assert_close(numpy_of(x.grad), gradient, f"gradient {i}")
            assert x.grad.dtype == x.dtype


def theirs(op: Op, sample: Sample, values: list[Any]) -> tuple[list[Any], list[Any]]:
    """PyTorch's outputs in float64, and the gradients of the inputs."""
    inputs = []
    for recipe, value in zip(sample.inputs, values, strict=True):
        if isinstance(value, np.ndarray):
            wide = value.astype(np.float64) if value.dtype.kind in "fV" else value
            value = torch.from_numpy(wide.copy()).requires_grad_(recipe.differentiable)
        inputs.append(value)
    outputs = flat(op.call_theirs(*inputs, **sample.options))
    taught = [
        (y, torch.from_numpy(v).to(y.dtype))
        for y, v in zip(outputs, cotangents(sample.name, outputs), strict=True)
        if isinstance(y, torch.Tensor) and y.requires_grad
    ]
    if taught:
        torch.autograd.backward(*zip(*taught, strict=True))
    grads = [x.grad if isinstance(x, torch.Tensor) else None for x in inputs]
    return [y.detach() if isinstance(y, torch.Tensor) else y for y in outputs], grads


def cotangents(name: str, outputs: list[Any]) -> list[np.ndarray]:
    rng = generator(f"cotangent of {name}")
    return [np.asarray(rng.standard_normal(tuple(y.shape))) for y in outputs]


def backward(outputs: list[Any], weights: list[np.ndarray]) -> None:
    """Backward from all outputs, one after the other; the gradients add up."""
    for y, v in zip(outputs, weights, strict=True):
        if isinstance(y, mg.Tensor) and y.requires_grad:
            y.backward(mg.Tensor(backend.to_device(v.astype(y.dtype), y.device)), retain_graph=True)


def numpy_of(x: Any) -> np.ndarray:
    """A copy of a tensor or an array in main memory."""
    array = x.array if isinstance(x, mg.Tensor) else x
    return np.array(backend.to_device(array, backend.CPU))


def assert_close(actual: np.ndarray, truth: Any, what: str) -> None:
    truth = np.asarray(truth)
    assert actual.shape == truth.shape, f"{what}: shape {actual.shape}, not {truth.shape}"
    if truth.dtype.kind != "f":
        np.testing.assert_array_equal(actual, truth, err_msg=what)
        return
    largest = np.abs(truth[np.isfinite(truth)]).max(initial=1.0)
    atol = TOLERANCE[str(actual.dtype)] * largest
    np.testing.assert_allclose(actual.astype(np.float64), truth, rtol=0, atol=atol, err_msg=what)


def _dtype_of(truth: torch.Tensor, values: list[Any], dtype: str, sample: Sample) -> str:
    """The dtype that an output must have: PyTorch's, with float64 standing for the tested one."""
    name = str(truth.dtype).removeprefix("torch.")
    if name != "float64" or "dtype" in sample.options:
        return name
    floats = [v for v in values if isinstance(v, np.ndarray) and v.dtype.kind in "fV"]
    return dtype if floats else "float32"
