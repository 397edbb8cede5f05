"""Choices between elements: by a condition, by size, within bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import minigrad as mg
from minigrad.kernels import reference as ref
from tests.ops.samples import Op, error, exactly, integers, mask, normal, sample
from tests.ops.table.elementwise import MISMATCH

SHAPES = MISMATCH[:1]
NO_NUMBER = error("number", TypeError, "expected two tensors", normal(3), 2)


def of_two(name: str) -> Op:
    samples = [
        sample("same", normal(3, 4), normal(3, 4)),
        sample("broadcast", normal(3, 1, 4), normal(2, 1)),
        sample("0d", normal(3, 4), normal()),
        sample("both-0d", normal(), normal()),
        sample("size-1", normal(1), normal(1, 1)),
        sample("empty", normal(0, 4), normal(4)),
        sample("dtypes", normal(3, 4), integers(-2, 2, 4)),
        sample("integers", integers(-3, 3, 5), integers(-3, 3, 5)),
        sample("bools", mask(5), mask(5)),
        sample("scattered", normal(4, 3).scattered, normal(3)),
        sample("threads", normal(41, 1000).scattered, normal(41, 1000)),
    ]
    return Op(name, samples, [*SHAPES, NO_NUMBER], numerical="central",
              reference=getattr(ref, name), unreferenced=("dtypes", "integers", "bools"))


def bounded() -> Op:
    samples = [
        sample("both", normal(3, 4), min=-0.5, max=0.5),
        sample("min", normal(3, 4), min=0),
        sample("max", normal(3, 4).scattered, max=0.25),
        sample("crossed", normal(3, 4), min=0.5, max=-0.5),
        sample("tensors", normal(3, 4), normal(3, 1), normal(4)),
        sample("min-tensor", normal(4), normal(3, 4)),
        sample("max-tensor", normal(3, 4), None, normal()),
        sample("0d", normal(), min=-0.1),
        sample("size-1", normal(1, 1), max=0.0),
        sample("empty", normal(0, 3), min=0.0),
        sample("integers", integers(-9, 9, 8), min=-2, max=3),
        sample("floats", integers(-9, 9, 8), min=-2.5),
        sample("threads", normal(41, 1000), min=-0.5, max=0.5),
    ]
    errors = [
        error("none", RuntimeError, r"\[clamp\] at least one", normal(3)),
        error("shapes", RuntimeError, r"shapes \(3,\) and \(2,\)", normal(3), normal(2)),
    ]
    return Op("clamp", samples, errors, reference=ref.clamp, numerical="central",
              unreferenced=("floats",))


def in_place(x: Any, **bounds: Any) -> Any:
    return (x * 1).clamp_(**bounds)


OPS = [
    Op(
        "where",
        [
            sample("same", mask(3, 4), normal(3, 4), normal(3, 4)),
            sample("broadcast", mask(3, 1), normal(4), normal(2, 1, 1)),
            sample("number", mask(3, 4), normal(3, 4), 2.5),
            sample("number-first", mask(3, 4), 0, normal(4).scattered),
            sample("numbers", mask(3, 4), 1.0, 0),
            sample("whole-numbers", mask(3, 4), 1, 0),
            sample("widened", mask(5), integers(0, 9, 5), 0.5),
            sample("dtypes", mask(5), integers(0, 9, 5), normal(5)),
            sample("bools", mask(5), mask(5), mask(5)),
            sample("bytes", exactly(np.array([2, 0, 1], np.uint8)), normal(3), 1.0),
            sample("0d", mask(), normal(), normal()),
            sample("size-1", mask(1), normal(1, 1), normal(1)),
            sample("empty", mask(0, 3), normal(3), normal(0, 1)),
            sample("scattered", mask(4, 3).scattered, normal(4, 3).scattered, normal(3)),
            sample("threads", mask(41, 1000), normal(41, 1000), normal(41, 1000).scattered),
        ],
        [
            error("shapes", RuntimeError, r"\[where\] shapes \(2,\) and \(3,\)", mask(2),
                  normal(3), 1.0),
            error("condition", RuntimeError, r"\[where\] .* got int64", integers(0, 2, 3), 1, 2),
        ],
        ours=mg.where, reference=ref.where, unreferenced=("numbers", "whole-numbers", "widened",
                                                          "dtypes", "bools"),
    ),
    Op(
        "where", [sample("indices", mask(3, 4)), sample("vector", exactly([0.0, 2.0, 0.5]))],
        ours=mg.where, numerical=None,
    ),
    Op(
        "where", [sample("method", normal(3, 4), mask(4), normal(3, 1))],
        ours=lambda x, c, y: x.where(c, y), theirs=lambda x, c, y: x.where(c, y),
    ),
    Op("masked_fill", [sample("in-place", normal(3, 4), mask(4), 2.0)],
       ours=lambda x, m, v: (x * 1).masked_fill_(m, v)),
    Op(
        "masked_fill",
        [
            sample("number", normal(3, 4), mask(3, 4), 1.5),
            sample("0d", normal(3, 4).scattered, mask(3, 1), normal()),
            sample("broadcast", normal(4), mask(3, 4), 2),
            sample("integers", integers(0, 9, 4), mask(4), 2.5),
            sample("bools", mask(4), mask(4), 7),
            sample("size-1", normal(1), mask(1, 1), 0),
            sample("empty", normal(0, 3), mask(3), 1),
        ],
        [
            error("mask", RuntimeError, "bool tensor as mask, got int64", normal(3),
                  integers(0, 2, 3), 1.0),
            error("value", RuntimeError, r"must be 0-d .* \(1,\)", normal(3), mask(3), normal(1)),
            error("range", RuntimeError, "300 cannot be converted to int8",
                  exactly(torch.tensor([1, 2], dtype=torch.int8).numpy()), mask(2), 300),
            error("shapes", RuntimeError, r"\(2,\) and .*\(3,\)", normal(3), mask(2), 1.0),
        ],
        numerical="central",
    ),
    of_two("maximum"),
    of_two("minimum"),
    Op(
        "max", [sample("second", normal(3, 4), normal(4))], SHAPES, numerical="central",
        reference=ref.maximum,
    ),
    Op("min", [sample("other", normal(3, 1), normal(4))], ours=lambda a, b: mg.min(a, other=b),
       numerical="central", reference=ref.minimum),
    bounded(),
    Op("clip", [sample("both", normal(3, 4), min=-0.5, max=0.5)], numerical="central"),
    Op(
        "clamp", [sample("in-place", normal(3, 4), min=-0.5, max=0.5)],
        [error("in-place", RuntimeError, "can't be cast", integers(0, 9, 3), min=0.5)],
        ours=in_place, numerical="central",
    ),
]
