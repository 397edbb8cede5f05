"""Elements moved, copied and put side by side; and the same values in another dtype or place."""

from __future__ import annotations

from typing import Any

import torch

import minigrad as mg
from minigrad.backend import Device
from minigrad.ops.convert import Move
from tests.ops.samples import Op, error, exactly, integers, normal, sample
from tests.ops.table.reduce import NO_SUCH_DIM

INVALID = "is invalid for input"

RESHAPES = [
    Op(
        "reshape",
        [
            sample("2d", normal(3, 4), shape=(2, 6)),
            sample("unknown", normal(3, 4), shape=(-1, 2)),
            sample("0d", normal(1, 1), shape=()),
            sample("empty", normal(0, 3), shape=(3, 0)),
            sample("scattered", normal(3, 4).scattered, shape=(12,)),
        ],
        [
            error("size", RuntimeError, r"\[5\] is invalid .* 6 ele", normal(2, 3), shape=(5,)),
            error("unknowns", RuntimeError, INVALID, normal(2, 3), shape=(-1, -1)),
            error("negative", RuntimeError, INVALID, normal(2, 3), shape=(-2, -3)),
        ],
    ),
    Op(
        "view", [sample("2d", normal(3, 4), shape=(2, 6))],
        [
            error("size", RuntimeError, INVALID, normal(2, 3), shape=(5,)),
            error("type", TypeError, r"\[view\] expected sizes, got 3", normal(3), shape=3),
        ],
        theirs=lambda x, shape: x.view(shape),
    ),
    Op(
        "flatten",
        [
            sample("all", normal(2, 3, 4)),
            sample("0d", normal()),
            sample("empty", normal(0, 2, 3), start_dim=1),
            sample("middle", normal(2, 3, 4, 2).scattered, start_dim=1, end_dim=-2),
        ],
        [error("order", RuntimeError, r"start_dim \(1\)", normal(2, 3), start_dim=1, end_dim=0)],
    ),
    Op(
        "unflatten",
        [
            sample("two", normal(2, 6), dim=1, sizes=(2, 3)),
            sample("unknown", normal(2, 6), dim=-1, sizes=(3, -1)),
        ],
        [error("size", RuntimeError, INVALID, normal(2, 6), dim=1, sizes=(4, 2))],
        theirs=torch.unflatten,
    ),
    Op(
        "squeeze",
        [
            sample("all", normal(1, 3, 1)),
            sample("dim", normal(1, 3, 1), dim=-1),
            sample("not-1", normal(1, 3), dim=1),
            sample("dims", normal(1, 3, 1, 1), dim=(0, 2)),
            sample("0d", normal()),
            sample("scattered", normal(1, 3, 1).scattered),
        ],
        [NO_SUCH_DIM],
    ),
    Op(
        "unsqueeze",
        [
            sample("front", normal(2, 3), dim=0),
            sample("back", normal(2, 3), dim=-1),
            sample("0d", normal(), dim=0),
            sample("scattered", normal(2, 3).scattered, dim=1),
        ],
        [error("dim", IndexError, "expected -3 to 2, got 3", normal(2, 3), dim=3)],
    ),
    Op(
        "expand",
        [
            sample("rows", normal(1, 3), shape=(4, 3)),
            sample("front", normal(3), shape=(2, 4, 3)),
            sample("unchanged", normal(3, 1), shape=(-1, 2)),
            sample("0d", normal(), shape=(2, 2)),
            sample("empty", normal(1, 3), shape=(0, 3)),
            sample("scattered", normal(3, 1).scattered, shape=(2, 3, 2)),
        ],
        [
            error("size", RuntimeError, "only dimensions of size 1", normal(2, 3), shape=(4, 3)),
            error("fewer", RuntimeError, "cannot be expanded", normal(2, 3), shape=(3,)),
            error("unknown", RuntimeError, "cannot be expanded", normal(3), shape=(-1, 3)),
        ],
        theirs=lambda x, shape: x.expand(shape),
    ),
]

ORDERS = [
    Op(
        "permute",
        [
            sample("3d", normal(2, 3, 4), dims=(2, 0, 1)),
            sample("0d", normal(), dims=()),
            sample("scattered", normal(2, 3).scattered, dims=(-1, 0)),
        ],
        [
            error("twice", RuntimeError, r"\(0, 0\) must name each", normal(2, 3), dims=(0, 0)),
            error("range", IndexError, "got 2", normal(2, 3), dims=(0, 2)),
        ],
    ),
    Op(
        "transpose",
        [
            sample("3d", normal(2, 3, 4), dim0=0, dim1=-1),
            sample("same", normal(2, 3), dim0=1, dim1=1),
            sample("0d", normal(), dim0=0, dim1=-1),
        ],
        [error("range", IndexError, "got -3", normal(2, 3), dim0=-3, dim1=0)],
    ),
    Op(
        "t", [sample("2d", normal(2, 3)), sample("1d", normal(3)), sample("0d", normal())],
        [error("3d", RuntimeError, "at most 2 dimensions, got 3", normal(1, 2, 3))],
    ),
]

PIECES = [
    Op(
        "cat",
        [
            sample("rows", normal(2, 3), normal(1, 3), normal(3, 3)),
            sample("one", normal(2, 3)),
            sample("columns", normal(2, 3).scattered, normal(2, 1), dim=-1),
            sample("empty", normal(0, 3), normal(2, 3)),
            sample("nothing", normal(0), normal(2, 3)),
            sample("nothing-in-columns", normal(2, 3), normal(0), dim=1),
            sample("nothing-but-its-dtype", normal(0).fixed, integers(0, 9, 3)),
            sample("dtypes", normal(2), integers(0, 9, 3)),
        ],
        [
            error("shape", RuntimeError, r"tensor 1 .* \(2, 2\)", normal(2, 3), normal(2, 2)),
            error("dims", RuntimeError, r"tensor 1 .* \(2,\)", normal(2, 3), normal(2)),
            error("0d", RuntimeError, r"\[cat\] .*0-d", normal(), normal()),
            error("none", ValueError, r"\[cat\] .* non-empty"),
            error("type", TypeError, r"\[cat\] expected tensors, got None", normal(2), None),
            NO_SUCH_DIM,
        ],
        ours=lambda *xs, dim=0: mg.cat(xs, dim), theirs=lambda *xs, dim=0: torch.cat(xs, dim),
    ),
    Op(
        "stack",
        [
            sample("front", normal(2, 3), normal(2, 3)),
            sample("middle", normal(2, 3), normal(2, 3), dim=1),
            sample("back", normal(2, 3), normal(2, 3).scattered, dim=-1),
            sample("0d", normal(), normal(), normal()),
        ],
        [
            error("shape", RuntimeError, r"\[stack\] .* equal size", normal(2), normal(3)),
            error("none", RuntimeError, r"\[stack\] .* non-empty"),
        ],
        ours=lambda *xs, dim=0: mg.stack(xs, dim), theirs=lambda *xs, dim=0: torch.stack(xs, dim),
    ),
    Op(
        "split",
        [
            sample("even", normal(6, 2), split_size=2),
            sample("rest", normal(5, 2), split_size=3),
            sample("sizes", normal(2, 5).scattered, split_size=[2, 0, 3], dim=-1),
            sample("empty", normal(0, 2), split_size=2),
        ],
        [
            error("size", RuntimeError, "must be positive, got 0", normal(3), split_size=0),
            error("sizes", RuntimeError, r"\[1, 1\] must sum to 3", normal(3), split_size=[1, 1]),
            error("negative", RuntimeError, r"\[4, -1\]", normal(3), split_size=[4, -1]),
        ],
        theirs=lambda x, split_size, dim=0: torch.split(x, split_size, dim),
    ),
    Op(
        "chunk",
        [
            sample("even", normal(6, 2), chunks=3),
            sample("rest", normal(5, 2), chunks=3),
            sample("many", normal(2, 3), chunks=9, dim=1),
        ],
        [error("chunks", RuntimeError, "must be positive, got 0", normal(3), chunks=0)],
    ),
    Op(
        "unbind", [sample("rows", normal(3, 2)), sample("columns", normal(3, 2), dim=-1)],
        [NO_SUCH_DIM],
    ),
    Op(
        "pad",
        [
            sample("last", normal(2, 3), pad=(1, 2)),
            sample("image", normal(2, 1, 3, 4), pad=(1, 0, 2, 3)),
            sample("value", normal(2, 3).scattered, pad=(1, 1), value=-2.5),
            sample("cut", normal(4, 5), pad=(-1, 2, 1, -2)),
            sample("empty", normal(0, 3), pad=(1, 1)),
        ],
        [
            error("mode", NotImplementedError, "'reflect'", normal(3), pad=(1, 1), mode="reflect"),
            error("odd", RuntimeError, r"pairs .* \[1\]", normal(3), pad=[1]),
            error("dims", RuntimeError, "at most 1 dim", normal(3), pad=(1, 1, 1, 1)),
            error("negative", RuntimeError, "negative size", normal(3), pad=(-2, -2)),
            error("crossed", RuntimeError, "negative size", normal(3), pad=(4, -5)),
        ],
    ),
]


def moved(x: Any) -> Any:
    """There and back again, if there is another place than the CPU; else nowhere."""
    there = Move.apply(x, device=Device("cpu"))
    return Move.apply(there, device=x.device)


CONVERSIONS = [
    Op(
        "clone",
        [
            sample("2d", normal(2, 3)),
            sample("0d", normal()),
            sample("scattered", normal(3, 4).scattered),
            sample("threads", normal(41, 1000).scattered),
        ],
    ),
    Op(
        "to",
        [
            sample("dtype", normal(2, 3), dtype=mg.float64),
            sample("half", normal(2, 3), dtype=mg.float16),
            sample("integers", exactly([1.0, -2.0]), dtype=mg.int64),
            sample("floats", integers(0, 9, 3), dtype=mg.float32),
            sample("nothing", normal(2, 3)),
            sample("copy", normal(2, 3).scattered, copy=True),
        ],
        [error("device", ValueError, "unknown device 'gpu'", normal(2), device="gpu")],
        theirs=lambda x, dtype=None, copy=False: x.to(dtype=dtype or x.dtype, copy=copy),
        numerical=None,
    ),
    Op("to", [sample("device", normal(2, 3))], ours=moved, theirs=torch.clone),
]

OPS = [*RESHAPES, *ORDERS, *PIECES, *CONVERSIONS]
