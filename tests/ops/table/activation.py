"""Activations: each at 0, at its kinks and far out, and written over its input."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch.nn.functional as F

from minigrad.kernels import reference as ref
from minigrad.nn import functional
from tests.ops.samples import Op, away_from_zero, error, exactly, integers, normal, sample, spaced

FAR = exactly([-1e4, -100.0, -30.0, -3.5, 0.0, 2.5, 3.5, 30.0, 100.0, 1e4])
WHOLE = integers(0, 3, 4)
FLOATS = error("integers", RuntimeError, "expected a floating point tensor, got int64", WHOLE)


def activation(name: str, draw: Any, *more: Any, errors: Any = (FLOATS,), **fields: Any) -> Op:
    samples = [
        sample("2d", draw(3, 4)),
        sample("0d", draw()),
        sample("size-1", draw(1, 1)),
        sample("empty", draw(0, 3)),
        sample("scattered", draw(4, 3, 2).scattered),
        *more,
    ]
    return Op(name, samples, list(errors), **{"numerical": "central", **fields})


def far(name: str, **fields: Any) -> Op:
    """Where exponentials over- and underflow: too far out for the checker's step."""
    return Op(name, [sample("far", FAR)], numerical=None, **fields)


def inplace(name: str) -> Op:
    """On a copy, since a leaf cannot be overwritten; the result is the copy itself."""

    def ours(x: Any) -> Any:
        copy = x * 1
        assert getattr(functional, name)(copy, inplace=True) is copy
        return copy

    return Op(
        name, [sample("inplace", normal(3, 4))], numerical=None, ours=ours,
        theirs=lambda x: getattr(F, name)(x * 1, inplace=True),
    )


def mish(x: np.ndarray) -> np.ndarray:
    return x * np.tanh(ref.softplus(x))


def logsigmoid(x: np.ndarray) -> np.ndarray:
    return -ref.softplus(-x, threshold=math.inf)


OPS = [
    activation(
        "elu", away_from_zero, sample("alpha", spaced(3, 4), alpha=0.3),
        sample("negative-alpha", spaced(3, 4), alpha=-0.5), reference=ref.elu,
    ),
    activation("selu", away_from_zero, reference=lambda x: (
        1.0507009873554805 * ref.elu(x, 1.6732632423543772)
    )),
    activation(  # alpha a power of 2: PyTorch's backward takes 1 / alpha in float32
        "celu", away_from_zero, sample("alpha", spaced(3, 4), alpha=0.25),
        errors=(FLOATS, error("alpha", RuntimeError, "alpha must not be 0", normal(2), alpha=0.0)),
        reference=lambda x, alpha=1.0: alpha * ref.elu(x / alpha), unreferenced=("0d",),
    ),
    activation("silu", normal, reference=ref.silu, numerical="complex"),
    activation(
        "softplus", normal, sample("beta", normal(3, 4), beta=0.3),
        sample("threshold", spaced(4, 5), beta=2, threshold=1.0), reference=ref.softplus,
    ),
    activation("logsigmoid", normal, reference=logsigmoid, unreferenced=("0d",)),
    activation("mish", normal, reference=mish),
    activation(
        "gelu", normal, sample("threads", normal(2, 25, 1000)),
        errors=(FLOATS, error("approximate", RuntimeError, "'none' or 'tanh', got 'erf'", normal(2),
                              approximate="erf")),
        reference=ref.gelu,
    ),
    Op("gelu", [sample("tanh", normal(3, 4), approximate="tanh"),
                sample("tanh-far", FAR, approximate="tanh")],
       reference=ref.gelu, numerical="central"),
    activation(
        "hardtanh", spaced, sample("bounds", spaced(5, 6), min_val=-0.3, max_val=2.0),
        sample("whole", integers(-5, 6, 9)), sample("whole-half", integers(-5, 6, 9), max_val=2.5),
        errors=(error("bounds", ValueError, r"min_val \(2\) must not exceed max_val \(1\)",
                      normal(2), min_val=2, max_val=1),),
        reference=ref.hardtanh, unreferenced=("whole", "whole-half"),
    ),
    Op("hardtanh", [sample("at-bounds", exactly([-1.0, 1.0, 0.0, np.nan, np.inf]))],
       numerical=None),
    activation("relu6", spaced, sample("whole", integers(-9, 9, 9)), errors=(),
               reference=lambda x: ref.hardtanh(x, 0, 6), unreferenced=("whole",)),
    activation(  # not PyTorch's own: its backward takes 1 / 6 in float32
        "hardsigmoid", spaced, theirs=lambda x: (F.hardtanh(x, -3, 3) + 3) / 6,
        reference=lambda x: ref.hardtanh(x + 3, 0, 6) / 6, unreferenced=("0d",),
    ),
    activation("hardswish", spaced, reference=lambda x: x * ref.hardtanh(x + 3, 0, 6) / 6,
               unreferenced=("0d",)),
    activation("softsign", away_from_zero, errors=(),
               reference=lambda x: ref.div(x, 1 + ref.abs(x))),
    activation("tanhshrink", normal, errors=(), reference=lambda x: x - ref.tanh(x),
               numerical="complex"),
    *map(far, ("elu", "selu", "celu", "silu", "softplus", "logsigmoid", "mish", "gelu",
               "hardswish", "softsign")),
    *map(inplace, ("relu", "leaky_relu", "elu", "selu", "celu", "silu", "mish", "hardtanh", "relu6",
                   "hardswish")),
]
