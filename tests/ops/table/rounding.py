"""Signs and roundings, constant between their jumps; the inputs are away from these."""

from __future__ import annotations

from typing import Any

import torch

from tests.ops.samples import Op, error, exactly, integers, mask, normal, positive, sample

HALVES = exactly([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5])
ZERO = integers(0, 1, 3)


def rounded(name: str, *more: Any) -> Op:
    samples = [
        sample("2d", normal(3, 4)),
        sample("0d", normal()),
        sample("size-1", normal(1, 1)),
        sample("empty", normal(0, 3)),
        sample("integers", integers(-9, 9, 4)),
        sample("scattered", normal(4, 3, 2).scattered),
        *more,
    ]
    bools = error("bools", NotImplementedError, rf"\[{name}\] a bool cannot be", mask(3))
    return Op(name, samples, [] if name == "sign" else [bools], numerical="central")


def quotients(name: str, **mode: str) -> Op:
    samples = [
        sample("floats", normal(3, 4), positive(3, 4), **mode),
        sample("signs", normal(3, 1), normal(4), **mode),
        sample("integers", integers(-9, 9, 3, 5), integers(1, 4, 5), **mode),
        sample("negative", integers(-9, 9, 3, 5), integers(-4, -1, 5), **mode),
        sample("number", integers(-9, 9, 8), 2, **mode),
        sample("float-number", integers(-9, 9, 8), 2.5, **mode),
        sample("number-first", 7, integers(1, 4, 5), **mode),
        sample("zero", exactly([1.0, -1.0, 0.0]).fixed, 0, **mode),
        sample("scattered", normal(4, 3).scattered, positive(3), **mode),
        sample("empty", normal(0, 4), positive(4), **mode),
    ]
    zero = error("zero", RuntimeError, "integer by zero", integers(0, 9, 3), ZERO, **mode)
    up = error("mode", RuntimeError, "'floor', got 'up'", normal(3), 2.0, rounding_mode="up")
    return Op(name, samples, [zero, up], numerical="central")


def floor_theirs(a: Any, b: Any) -> Any:
    """PyTorch's floor_divide has no gradient; its div has."""
    return torch.div(torch.as_tensor(a), b, rounding_mode="floor")


def renamed(op: Op, prefix: str) -> Op:
    """With names of its own, beside other entries of the op."""
    samples = [sample(f"{prefix}-{s.name}", *s.inputs, **s.options) for s in op.samples]
    errors = [error(f"{prefix}-{e.name}", e.kind, e.message, *e.inputs, **e.options)
              for e in op.errors]
    return Op(op.name, samples, errors, numerical=op.numerical)


OPS = [
    rounded("sign", sample("bools", mask(4)), sample("threads", normal(41, 1000))),
    rounded("floor"),
    rounded("ceil"),
    rounded("trunc"),
    rounded("round", sample("decimals", normal(3, 4), decimals=2),
            sample("tens", normal(3, 4), decimals=-1)),
    Op("round", [sample("halves", HALVES)], [
        error("decimals", NotImplementedError, "float dtype, not int64", integers(0, 9, 3),
              decimals=1),
    ], numerical=None),
    renamed(quotients("div", rounding_mode="floor"), "floor"),
    renamed(quotients("div", rounding_mode="trunc"), "trunc"),
    Op("floor_divide", quotients("div").samples[:3], theirs=floor_theirs, numerical="central"),
    Op("floor_divide", [sample("operator", normal(3, 4), 2)], ours=lambda x, n: x // n,
       theirs=floor_theirs, numerical="central"),
    Op("floor_divide", [sample("reflected", positive(3, 4))], ours=lambda x: 7 // x,
       theirs=lambda x: floor_theirs(7, x), numerical="central"),
]
