"""The parameters and gradients that every optimizer is tried on, in minigrad and in PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import minigrad as mg
from minigrad.kernels.cpu.optim import BLOCK

SHAPES = [(7, 3), (5,), (), (2, 2 * BLOCK // 3 + 11)]  # the last one needs two blocks, the end odd
TOLERANCE = {"float32": 1e-6, "float64": 1e-12}


def parameters(lib: Any, dtype: str = "float32", device: str = "cpu") -> list[Any]:
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape).astype(dtype) for shape in SHAPES]
    return [lib.nn.Parameter(lib.tensor(array, device=device)) for array in arrays]


def set_gradients(lib: Any, params: list[Any], step: int) -> None:
    """New gradients, from which one parameter is left out now and then."""
    rng = np.random.default_rng(100 + step)
    for i, p in enumerate(params):
        g = rng.standard_normal(tuple(p.shape)).astype(str(p.dtype).removeprefix("torch."))
        p.grad = None if (i + step) % 4 == 0 else lib.tensor(g, device=str(p.device))


def values(params: list[Any]) -> list[np.ndarray]:
    return [p.detach().cpu().numpy().copy() for p in params]


def assert_equal_to_pytorch(
    ours: list[mg.Tensor], theirs: list[torch.Tensor], dtype: str, what: str = ""
) -> None:
    for a, b in zip(values(ours), values(theirs), strict=True):
        assert a.dtype == dtype
        np.testing.assert_allclose(a, b, rtol=0, atol=TOLERANCE[dtype], err_msg=what)
