"""Sorting, and the largest few. Equal elements keep their order: PyTorch's stable=True."""

from __future__ import annotations

from typing import Any

import torch

from tests.ops.samples import Op, error, exactly, integers, normal, plateaus, sample, spaced
from tests.ops.table.reduce import NO_SUCH_DIM

NANS = exactly([[1.0, float("nan"), -2.0], [float("inf"), 0.0, float("nan")]])


def sorting(name: str, theirs: Any = None) -> Op:
    samples = [
        sample("last", spaced(3, 4)),
        sample("down", spaced(3, 4), dim=0, descending=True),
        sample("ties", plateaus(3, 9).fixed, dim=1, stable=True),
        sample("ties-down", plateaus(3, 9).fixed, dim=1, descending=True, stable=True),
        sample("integers", integers(-3, 3, 9), stable=True),
        sample("nan", NANS.fixed, stable=True),
        sample("nan-down", NANS.fixed, descending=True, stable=True),
        sample("0d", normal()),
        sample("size-1", normal(3, 1)),
        sample("empty", normal(0, 3), dim=0),
        sample("scattered", spaced(4, 3).scattered, dim=-1),
    ]
    return Op(name, samples, [NO_SUCH_DIM], theirs=theirs,
              numerical="central" if name == "sort" else None)


def sort_theirs(x: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    return torch.sort(x, stable=stable, dim=dim, descending=descending)


OPS = [
    sorting("sort", sort_theirs),
    sorting("argsort"),
    Op(
        "topk",
        [
            sample("last", spaced(3, 6), k=2),
            sample("smallest", spaced(5, 3), k=3, dim=0, largest=False),
            sample("all", spaced(4).scattered, k=4),
            sample("none", spaced(2, 3), k=0),
            sample("0d", normal(), k=1),
            sample("size-1", normal(3, 1), k=1),
        ],
        [
            error("k", RuntimeError, r"within 0 and 3, .* got 4", normal(3), k=4),
            error("dim", IndexError, "got 2", normal(2, 3), k=1, dim=2),
        ],
        numerical="central",
    ),
]
