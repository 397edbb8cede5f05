"""What stands between the brackets: slices, integers, arrays with repeats, masks."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from minigrad import ops
from tests.ops.samples import Op, error, integers, normal, sample

array = np.array


def put_theirs(x: Any, v: Any, index: Any) -> Any:
    y = x.clone()
    y[index] = v
    return y


def along(name: str, samples: list[Any], errors: list[Any]) -> Op:
    """An op of (x, dim, index), whose index is an input in the samples."""
    return Op(
        name, samples, errors,
        ours=lambda x, index, dim, **options: getattr(x, name)(dim, index, **options),
        theirs=lambda x, index, dim: getattr(torch, name)(x, dim, index),
    )


OPS = [
    Op(
        "getitem",
        [
            sample("integer", normal(3, 4), index=1),
            sample("negative", normal(3, 4), index=-1),
            sample("vector", normal(5), index=2),
            sample("both", normal(3, 4), index=(1, -2)),
            sample("slice", normal(5, 4), index=slice(1, 4)),
            sample("step", normal(7, 4), index=(slice(None, None, 3), slice(1, None))),
            sample("one-of-a-step", normal(4, 3), index=slice(1, 3, 5)),
            sample("none", normal(3, 4), index=(None, 1, None)),
            sample("ellipsis", normal(2, 3, 4), index=(..., 1)),
            sample("0d", normal(), index=...),
            sample("empty", normal(3, 4), index=slice(2, 2)),
            sample("array", normal(5, 4), index=array([0, 3, 1])),
            sample("repeats", normal(5, 4), index=array([2, 2, 0, 2])),
            sample("few-of-many", normal(40, 3), index=array([2, 2])),
            sample("array-2d", normal(5, 4), index=array([[0, 1], [4, 0]])),
            sample("list", normal(5, 4), index=[3, 3]),
            sample("pairs", normal(5, 4), index=(array([0, 1, 0]), array([3, 3, 3]))),
            sample("slice-array", normal(3, 4, 5), index=(slice(1, 3), array([0, 0, -1]))),
            sample("apart", normal(3, 4, 5), index=(array([0, 2]), slice(None), array([1, 1]))),
            sample("mask", normal(2, 2), index=array([[True, False], [False, True]])),
            sample("mask-rows", normal(3, 4), index=array([True, False, True])),
            sample("mask-nothing", normal(3, 4), index=array([False, False, False])),
            sample("size-1", normal(1, 1), index=(0, 0)),
            sample("scattered", normal(5, 4).scattered, index=array([1, 1])),
        ],
        [
            error("range", IndexError, r"3.*\(tensor of shape \(3,\)\)", normal(3), index=3),
            error("many", IndexError, r"too many.*\(3,\)", normal(3), index=(0, 0)),
            error("float", IndexError, "integers or bools, not float32", normal(3), index=[0.5]),
        ],
        ours=lambda x, index: x[index], theirs=lambda x, index: x[index],
    ),
    Op(
        "index_put",
        [
            sample("slice", normal(4, 3), normal(2, 3), index=slice(1, 3)),
            sample("broadcast", normal(4, 3), normal(3), index=slice(None, None, 2)),
            sample("number", normal(4, 3), 1.5, index=(1, 2)),
            sample("0d", normal(4, 3), normal(), index=array([0, 2])),
            sample("array", normal(5, 3), normal(2, 3), index=array([4, 1])),
            sample("mask", normal(4), normal(2), index=array([True, False, False, True])),
            sample("leading-ones", normal(4, 3), normal(1, 1, 3), index=2),
            sample("empty", normal(4, 3), normal(0, 3), index=slice(2, 2)),
            sample("size-1", normal(1), normal(1), index=0),
            sample("scattered", normal(4, 3).scattered, normal(3).scattered, index=0),
        ],
        [
            error("shape", RuntimeError, r"\(2,\).*\(3,\)", normal(4, 3), normal(2), index=0),
            error("range", IndexError, r"9.*\(tensor of shape \(4,\)\)", normal(4), 1.0, index=9),
        ],
        ours=lambda x, v, index: ops.index_put(x, index, v), theirs=put_theirs,
    ),
    along(
        "gather",
        [
            sample("rows", normal(5, 4), integers(0, 5, 3, 4), dim=0),
            sample("repeats", normal(3, 4), integers(0, 2, 3, 6), dim=1),
            sample("fewer", normal(3, 4, 5), integers(0, 5, 2, 3, 7), dim=-1),
            sample("middle", normal(3, 4, 2), integers(0, 4, 3, 5, 2), dim=1),
            sample("0d", normal(), integers(0, 1), dim=0),
            sample("0d-vector", normal(), integers(0, 1, 3), dim=0),
            sample("size-1", normal(1, 1), integers(0, 1, 1, 1), dim=1),
            sample("empty", normal(5), integers(0, 1, 0), dim=0),
            sample("scattered", normal(4, 3).scattered, integers(0, 3, 4, 2).scattered, dim=1),
        ],
        [
            error("range", RuntimeError, "expected 0 to 3", normal(3, 4), integers(4, 5, 3, 1),
                  dim=1),
            error("negative", RuntimeError, "expected 0 to 3", normal(3, 4),
                  integers(-1, 0, 3, 1), dim=1),
            error("dims", RuntimeError, "as many dimensions", normal(3, 4), integers(0, 1, 3),
                  dim=1),
            error("larger", RuntimeError, "be no larger", normal(3, 4), integers(0, 1, 4, 1),
                  dim=1),
            error("float", RuntimeError, "integer tensor as index", normal(3), normal(3), dim=0),
            error("sparse", NotImplementedError, "sparse", normal(3), integers(0, 1, 3), dim=0,
                  sparse_grad=True),
        ],
    ),
    along(
        "index_select",
        [
            sample("rows", normal(5, 4), integers(0, 5, 3), dim=0),
            sample("repeats", normal(3, 4), integers(0, 2, 6), dim=1),
            sample("one", normal(3, 4), integers(1, 2), dim=-1),
            sample("0d", normal(), integers(0, 1, 1), dim=0),
            sample("empty", normal(3, 4), integers(0, 1, 0), dim=0),
            sample("scattered", normal(4, 3).scattered, integers(0, 4, 2), dim=0),
        ],
        [
            error("range", IndexError, "3.*of shape", normal(3), integers(3, 4, 1), dim=0),
            error("negative", IndexError, "must not be neg", normal(3), integers(-1, 0, 1), dim=0),
            error("2d", IndexError, "a vector .* got 2-D", normal(3), integers(0, 1, 1, 1), dim=0),
            error("float", RuntimeError, "integers, got .* float", normal(3), normal(1), dim=0),
        ],
    ),
]
