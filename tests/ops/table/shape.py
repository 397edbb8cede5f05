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
    Op(
        "repeat",
        [
            sample("gray-to-rgb", normal(1, 2, 3), repeats=(3, 1, 1)),
            sample("front", normal(2, 3), repeats=(2, 1, 3)),
            sample("0d", normal(), repeats=(4,)),
            sample("none", normal(2, 3), repeats=(1, 0)),
            sample("scattered", normal(2, 3).scattered, repeats=(2, 2)),
        ],
        [
            error("fewer", RuntimeError, "at least 2 numbers", normal(2, 3), repeats=(2,)),
            error("negative", RuntimeError, "none of them negative", normal(2), repeats=(-1,)),
        ],
        theirs=lambda x, repeats: x.repeat(repeats),
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
        "pixel_shuffle",
        [
            sample("images", normal(2, 8, 3, 4), upscale_factor=2),
            sample("alone", normal(9, 2, 3).scattered, upscale_factor=3),
            sample("empty", normal(0, 4, 2, 3).fixed, upscale_factor=2),
        ],
        [error("channels", RuntimeError, r"with r=2, got \(1, 3, 2, 2\)", normal(1, 3, 2, 2),
               upscale_factor=2)],
    ),
    Op(
        "pixel_unshuffle",
        [
            sample("images", normal(2, 2, 6, 4), downscale_factor=2),
            sample("alone", normal(2, 3, 6).scattered, downscale_factor=3),
        ],
        [error("sizes", RuntimeError, r"with r=2, got \(1, 3, 3, 2\)", normal(1, 3, 3, 2),
               downscale_factor=2)],
    ),
    Op(
        "one_hot",
        [
            sample("rows", integers(0, 4, 3, 2)),
            sample("more", integers(0, 4, 5), num_classes=7),
            sample("0d", exactly(2)),
            sample("empty", integers(0, 4, 0, 2), num_classes=3),
        ],
        [
            error("dtype", RuntimeError, "got float64", normal(2)),
            error("large", RuntimeError, r"in 0\.\.2", exactly([3]), num_classes=3),
            error("negative", RuntimeError, r"in 0\.\.2", exactly([-1, 2])),
            error("nothing", RuntimeError, "empty tensor", integers(0, 4, 0)),
        ],
    ),
    Op(
        "pad",
        [
            sample("last", normal(2, 3), pad=(1, 2)),
            sample("image", normal(2, 1, 3, 4), pad=(1, 0, 2, 3)),
            sample("value", normal(2, 3).scattered, pad=(1, 1), value=-2.5),
            sample("cut", normal(4, 5), pad=(-1, 2, 1, -2)),
            sample("empty", normal(0, 3), pad=(1, 1)),
            *(
                sample(f"{mode}-{name}", draw, pad=widths, mode=mode)
                for mode in ("reflect", "replicate", "circular")
                for name, draw, widths in (
                    ("image", normal(2, 3, 4, 5), (1, 2, 0, 3)), ("line", normal(2, 3, 4), (3, 1)),
                    ("alone", normal(3, 4, 5).scattered, (2, 2, 1, 1)), ("empty",
                    normal(0, 2, 4), (1, 1)), ("none", normal(2, 4), (0, 0)),
                )
            ),
            sample("replicate-wide", normal(1, 2, 1), pad=(3, 2), mode="replicate"),
            sample("replicate-cut", normal(1, 4, 5), pad=(-1, 2, 1, -2), mode="replicate"),
            sample("circular-cut", normal(1, 4, 5), pad=(-1, 2, 1, -2), mode="circular"),
        ],
        [
            error("mode", NotImplementedError, "'mirror'", normal(3, 3), pad=(1, 1), mode="mirror"),
            error("mode-dims", NotImplementedError, r"\(3,\): there are constant, reflect",
                  normal(3), pad=(1, 1), mode="reflect"),
            error("reflect", RuntimeError, "a dimension of size 3 by at most 2, got", normal(2, 3),
                  pad=(1, 3), mode="reflect"),
            error("circular", RuntimeError, "a dimension of size 3 by at most 3, got", normal(2, 3),
                  pad=(1, 4), mode="circular"),
            error("nothing", RuntimeError, "nothing to fill from", normal(2, 0), pad=(1, 1),
                  mode="replicate"),
            error("all-cut", RuntimeError, "leave nothing", normal(2, 3), pad=(-1, -2),
                  mode="replicate"),
            error("mode-value", ValueError, "takes no value", normal(2, 3), pad=(1, 1),
                  mode="reflect", value=1.0),
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
