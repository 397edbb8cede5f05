"""Many numbers become one, over all dimensions or some."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import minigrad as mg
from minigrad.kernels import reference as ref
from tests.ops.samples import Op, error, exactly, integers, normal, plateaus, sample, spaced

NO_SUCH_DIM = error("dim", IndexError, r"expected -2 to 1, got 2", normal(2, 3), dim=2)


def reduced(draw: Any, *more: Any, several: bool = True) -> list[Any]:
    return [
        sample("all", draw(3, 4, 2)),
        sample("0d", draw()),
        sample("dim", draw(3, 4), dim=1),
        sample("keepdim", draw(2, 3, 4), dim=(0, -1) if several else -3, keepdim=True),
        sample("size-1", draw(3, 1), dim=1),
        sample("scattered", draw(4, 3, 2).scattered, dim=-2),
        sample("empty", draw(0, 3), dim=0 if draw is normal else 1),
        *more,
    ]


def over(kernel: Any) -> Any:
    """A reference kernel, with PyTorch's word for an axis."""
    return lambda x, dim=None, keepdim=False: kernel(x, dim, keepdim)


def floats_only(name: str) -> Any:
    message = rf"\[{name}\] expected a floating point tensor, got int64"
    return error("integers", RuntimeError, message, integers(0, 9, 3))


def extremum(name: str, **fields: Any) -> Op:
    """A maximum or minimum: amax takes several dimensions, max returns indices too."""
    whole = sample("integers", integers(-9, 9, 3, 4), dim=0)
    samples = reduced(spaced, whole, several=name in ("amax", "amin"))
    empty = error("empty", IndexError, rf"\[{name}\].*size 0", normal(0, 3), dim=0)
    errors = [NO_SUCH_DIM, empty]
    if not name.startswith("arg"):
        errors.append(error("nothing", RuntimeError, rf"\[{name}\].*size 0", normal(0, 3)))
    return Op(name, samples, errors, unreferenced=("empty",), **fields)


def first_min(x: Any, dim: Any, keepdim: bool) -> Any:
    return ref.argmax(np.asarray(-x), dim, keepdim)


def truth(name: str) -> Op:
    samples = [
        sample("all", plateaus(3, 4)),
        sample("dim", plateaus(3, 4), dim=1),
        sample("keepdim", plateaus(3, 4), dim=0, keepdim=True),
        sample("bools", exactly([True, False])),
        sample("empty", normal(0, 3), dim=0),
    ]
    return Op(name, samples, [NO_SUCH_DIM], numerical=None)


def varied(kernel: Any) -> Any:
    """A reference kernel of a variance, with PyTorch's words."""

    def called(x: Any, dim: Any = None, *, correction: Any = None, keepdim: bool = False,
               unbiased: bool = True) -> Any:
        correction = int(unbiased) if correction is None else correction
        return kernel(x, dim, correction=correction, keepdims=keepdim)

    return called


OPS = [
    Op(
        "sum",
        reduced(
            normal,
            sample("integers", integers(0, 9, 3, 4), dim=1),
            sample("bools", exactly([True, False])),
            sample("threads", normal(41, 1000), dim=0),
        ),
        [NO_SUCH_DIM, error("twice", RuntimeError, "twice", normal(2, 3), dim=(0, -2))],
        reference=over(ref.sum), unreferenced=("threads",),
    ),
    Op("sum", [sample("dtype", normal(3, 4), dtype=mg.float64)], numerical=None),
    Op("mean", reduced(normal), [NO_SUCH_DIM, floats_only("mean")], reference=over(ref.mean),
       unreferenced=("empty",)),
    Op("mean", [sample("dtype", integers(0, 9, 4), dtype=mg.float64)], numerical=None),
    *(
        Op(
            name,
            [
                sample("all", normal(3, 4, 2)),
                sample("dim", normal(3, 4), dim=1),
                sample("keepdim", normal(2, 3, 4), dim=(0, -1), keepdim=True),
                sample("biased", normal(3, 4), dim=0, correction=0),
                sample("correction-none", normal(3, 4), correction=None),
                sample("fraction", normal(3, 4), dim=1, correction=0.5),
                sample("unbiased", normal(3, 4), dim=0, unbiased=False),
                sample("unbiased-alone", normal(3, 4), False),
                sample("unbiased-second", normal(3, 4), 1, False, True),
                sample("scattered", normal(4, 3, 2).scattered, dim=-2),
                sample("empty", normal(0, 3), dim=1),
                sample("nothing", normal(0, 3), dim=0),
            ],
            [NO_SUCH_DIM, floats_only(name)], theirs=getattr(torch, name),
            reference=varied(getattr(ref, name)),
            unreferenced=("nothing", "unbiased-alone", "unbiased-second"),
        )
        for name in ("var", "std")
    ),
    Op("var", [sample("size-1", normal(3, 1), dim=1, correction=0)]),
    Op(
        "logsumexp",
        [
            sample("dim", normal(3, 4), dim=1),
            sample("two", normal(2, 3, 4), dim=(0, -1), keepdim=True),
            sample("0d", normal(), dim=0),
            sample("size-1", normal(3, 1), dim=1),
            sample("empty", normal(0, 3), dim=1),
            sample("nothing", normal(0, 3), dim=0),
            sample("integers", integers(0, 9, 4), dim=0),
            sample("scattered", normal(4, 3).scattered, dim=0),
        ],
        [NO_SUCH_DIM], reference=over(ref.logsumexp),
        unreferenced=("0d", "empty", "nothing", "integers"),
    ),
    extremum("amax", numerical="central", reference=over(ref.amax)),
    extremum("amin", numerical="central", reference=over(ref.amin)),
    extremum("max", numerical="central", reference=over(ref.max)),
    extremum("min", numerical="central", reference=over(ref.min)),
    extremum("argmax", numerical=None, reference=over(ref.argmax)),
    extremum("argmin", numerical=None, reference=over(first_min)),
    truth("all"),
    truth("any"),
]
