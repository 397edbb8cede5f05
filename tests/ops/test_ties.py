"""Where the gradient is a convention: kinks, ties and numbers that are none. PyTorch decides.

A plateau is shared evenly by `amax`, `amin`, `max()` and `min()`, and goes to its first element in
`max(dim)`, `min(dim)` and a pool; at 0, ReLU and abs have slope 0 and leaky ReLU its small one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.ops.checks import against_torch
from tests.ops.samples import Op, Sample, exactly, plateaus, sample

ZEROS = exactly([-1.0, -0.0, 0.0, 2.0])
INFINITE = exactly([np.inf, -np.inf, 1.0])
SPECIAL = exactly([[np.nan, 1.0, 3.0], [np.inf, -np.inf, 2.0], [-np.inf, -np.inf, -np.inf]])
LATER = exactly([False, False, True, True])
NOTHING = exactly([0.0, 0.0, 0.0])
FLAT = exactly(np.full((1, 2, 5, 6), -3.0))
LOWEST = exactly(np.full((1, 1, 4, 5), -np.inf))
NANS = exactly([[[[1.0, np.nan, 0.0, 2.0], [np.nan, 3.0, np.nan, 5.0], [0.0, 1.0, 9.0, 1.0]]]])
OVERLAP = {"kernel_size": 3, "stride": 2, "padding": 1}

CASES = {
    "relu": [sample("zeros", ZEROS), sample("infinite", INFINITE)],
    "leaky_relu": [sample("zeros", ZEROS, negative_slope=0.3), sample("infinite", INFINITE)],
    "abs": [sample("zeros", ZEROS), sample("infinite", INFINITE)],
    "pow": [sample("zero-base", ZEROS, 2), sample("zero-power", ZEROS, 0),
            sample("0-to-0", exactly([0.0, 0.0, 2.0]), exactly([0.0, 2.0, 0.0]))],
    **{
        name: [sample("all", plateaus(3, 4)), sample("flat", FLAT),
               sample("dim", plateaus(3, 4), dim=1), sample("keepdim", FLAT, dim=-1, keepdim=True)]
        for name in ("amax", "amin", "max", "min")
    },
    "sign": [sample("zeros", ZEROS), sample("special", SPECIAL)],
    "clamp": [sample("bounds", plateaus(3, 4), min=-1, max=1), sample("nan", SPECIAL, min=0),
              sample("tensors", plateaus(3, 4), plateaus(4), plateaus(3, 1))],
    "norm": [
        *(sample(f"zeros-{p}", ZEROS, p=p) for p in (0.5, 1, 2, 3, float("inf"), -float("inf"))),
        *(sample(f"all-zero-{p}", NOTHING, p=p) for p in (0.5, 1, 1.5, 2, 3, float("inf"))),
        sample("ties", plateaus(3, 4), p=float("inf"), dim=1),
    ],
    "masked_fill": [sample("infinite", plateaus(3, 4), LATER, float("-inf"))],
    "std": [sample("constant", exactly([2.0, 2.0, 2.0])), sample("one", exactly([2.0]))],
    "logsumexp": [sample("large", exactly([1000.0, 1001.0, -1000.0]), dim=0),
                  sample("infinite", INFINITE, dim=0), sample("special", SPECIAL, dim=1)],
    **{
        name: [sample("ties", plateaus(3, 4), plateaus(4)), sample("special", SPECIAL, SPECIAL),
               sample("nan", SPECIAL, exactly([0.0, 1.0, float("nan")]))]
        for name in ("maximum", "minimum")
    },
    **{
        name: [sample("all", plateaus(3, 4)), sample("dim", plateaus(3, 4), dim=0),
               sample("special", SPECIAL, dim=1)]
        for name in ("argmax", "argmin")
    },
    "max_pool2d": [
        sample("plateaus", plateaus(2, 3, 7, 8), **OVERLAP, return_indices=True),
        sample("flat", FLAT, **OVERLAP, return_indices=True),
        sample("flat-dilated", FLAT, kernel_size=2, stride=1, padding=1, dilation=2),
        sample("flat-ceil", FLAT, kernel_size=2, stride=2, ceil_mode=True, return_indices=True),
        sample("lowest", LOWEST, **OVERLAP, return_indices=True),
        sample("nan", NANS, kernel_size=2, stride=1, return_indices=True),
    ],
}
PARAMS = [
    pytest.param(name, case, id=f"{name}-{case.name}") for name in CASES for case in CASES[name]
]


@pytest.mark.parametrize(("name", "case"), PARAMS)
def test_convention(name: str, case: Sample, device: str) -> None:
    theirs: Any = {"pow": pow, "norm": torch.norm}.get(name)
    against_torch(Op(name, [case], theirs=theirs), case, device, "float64")


@pytest.mark.parametrize("name", ["max", "min"])
def test_nan_is_the_extremum(name: str, device: str) -> None:
    for dim in (0, 1):
        case = sample("special", SPECIAL, dim=dim)
        against_torch(Op(name, [case]), case, device, "float64")
