"""Lengths of vectors; the elements are away from 0, where some of them have a kink."""

from __future__ import annotations

import math

import torch

import minigrad as mg
from minigrad.kernels import reference as ref
from tests.ops.samples import Op, away_from_zero, error, exactly, normal, plateaus, sample, spaced
from tests.ops.table.reduce import NO_SUCH_DIM, floats_only

POWERS = (0.5, 1, 1.5, 2, 3, -1, -2)

OPS = [
    Op(
        "norm",
        [
            sample("default", normal(3, 4)),
            sample("fro", normal(3, 4), p="fro", dim=(0, 1)),
            *(sample(f"{p}", away_from_zero(3, 4), p=p) for p in POWERS),
            *(sample(f"{p}-dim", away_from_zero(3, 4), p=p, dim=1) for p in POWERS),
            sample("0", plateaus(3, 4).fixed, p=0),
            sample("0-dim", plateaus(3, 4).fixed, p=0, dim=1),
            sample("inf", spaced(3, 4), p=math.inf),
            sample("inf-dim", spaced(3, 4), p=math.inf, dim=0),
            sample("minus-inf", spaced(3, 4), p=-math.inf, dim=(0, 1), keepdim=True),
            sample("keepdim", normal(2, 3, 4), p=3, dim=(0, -1), keepdim=True),
            sample("0d", normal(), p=2, dim=0),
            sample("size-1", normal(3, 1), dim=1),
            sample("empty", normal(0, 3), p=1),
            sample("scattered", normal(4, 3, 2).scattered, dim=-2),
        ],
        [
            NO_SUCH_DIM, floats_only("norm"),
            error("nothing", RuntimeError, r"\[norm\].*size 0", normal(0), p=math.inf),
            error("word", ValueError, "'fro' or 'nuc', got 'max'", normal(3), p="max"),
            error("nuclear", RuntimeError, "2 dimensions, not 1", normal(3), p="nuc"),
        ],
        theirs=torch.norm, numerical="central",
        reference=lambda x, p=2, dim=None, keepdim=False: ref.norm(
            x, 2 if p == "fro" else p, dim, keepdim
        ),
        unreferenced=("0d", "empty"),
    ),
    Op(
        "norm",
        [
            sample("nuclear", normal(3, 4), p="nuc"),
            sample("nuclear-batch", normal(4, 2, 3).scattered, p="nuc", dim=(2, 0), keepdim=True),
        ],
        theirs=torch.norm, numerical="central",
    ),
    Op("norm", [sample("count", plateaus(3, 4))], ours=lambda x: mg.norm(x, 0),  # PyTorch's: None
       theirs=lambda x: (x != 0).sum() + 0 * x.sum(), numerical=None),
    Op("norm", [sample("dtype", exactly([3.0, 4.0]), dtype=mg.float64)], theirs=torch.norm,
       numerical=None),
]
