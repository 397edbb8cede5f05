"""Dimensions and elements in another order, or some of them; vectors spread over a grid."""

from __future__ import annotations

import torch

import minigrad as mg
from tests.ops.samples import Op, error, integers, mask, normal, sample

NO_DIM = r"0-d tensor has no dimension"


def triangle(name: str) -> Op:
    samples = [
        sample("square", normal(3, 3)),
        sample("wide", normal(2, 3, 5), diagonal=1),
        sample("tall", normal(5, 3).scattered, diagonal=-2),
        sample("size-1", normal(1, 1), diagonal=1),
        sample("empty", normal(0, 3)),
        sample("bools", mask(3, 4)),
    ]
    return Op(name, samples, [
        error("1d", RuntimeError, rf"\[{name}\] expected at least 2 dim.*got 1", normal(3)),
    ])


OPS = [
    Op(
        "movedim",
        [
            sample("one", normal(2, 3, 4), source=0, destination=-1),
            sample("two", normal(2, 3, 4, 5), source=(3, 0), destination=(0, 1)),
            sample("0d", normal(), source=0, destination=0),
            sample("scattered", normal(2, 3).scattered, source=1, destination=0),
        ],
        [
            error("range", IndexError, "got 2", normal(2, 3), source=2, destination=0),
            error("twice", RuntimeError, r"twice in dim=\(0, 0\)", normal(2, 3), source=(0, 0),
                  destination=(0, 1)),
            error("number", RuntimeError, "2 dimensions cannot move to 1 places", normal(2, 3),
                  source=(0, 1), destination=(0,)),
        ],
    ),
    Op(
        "flip",
        [
            sample("one", normal(3, 4), dims=(0,)),
            sample("two", normal(2, 3, 4), dims=(-1, 0)),
            sample("none", normal(2, 3), dims=()),
            sample("0d", normal(), dims=()),
            sample("size-1", normal(1), dims=(0,)),
            sample("empty", normal(0, 3), dims=(0, 1)),
            sample("scattered", normal(3, 4).scattered, dims=(1,)),
        ],
        [
            error("range", IndexError, "got 1", normal(3), dims=(1,)),
            error("twice", RuntimeError, "twice", normal(3), dims=(0, -1)),
        ],
    ),
    Op(
        "roll",
        [
            sample("one", normal(5, 2), shifts=2, dims=0),
            sample("back", normal(5, 2), shifts=-7, dims=0),
            sample("two", normal(3, 4), shifts=(1, -1), dims=(0, 1)),
            sample("same", normal(5), shifts=(1, 2), dims=(0, 0)),
            sample("flat", normal(3, 4), shifts=5),
            sample("0d", normal(), shifts=3),
            sample("size-1", normal(1, 1), shifts=1, dims=1),
            sample("empty", normal(0, 3), shifts=1, dims=0),
            sample("scattered", normal(3, 4).scattered, shifts=1, dims=-1),
        ],
        [
            error("length", RuntimeError, "must be of one length", normal(3, 2), shifts=(1, 2),
                  dims=0),
            error("none", RuntimeError, "must be of one length", normal(3), shifts=()),
            error("range", IndexError, "got 2", normal(3, 2), shifts=1, dims=2),
            error("0d", IndexError, NO_DIM, normal(), shifts=1, dims=0),
        ],
    ),
    Op(
        "narrow",
        [
            sample("rows", normal(5, 3), dim=0, start=1, length=3),
            sample("back", normal(5, 3), dim=-1, start=-2, length=1),
            sample("nothing", normal(3), dim=0, start=3, length=0),
            sample("scattered", normal(4, 3).scattered, dim=1, start=0, length=2),
        ],
        [
            error("start", IndexError, "start 4", normal(3), dim=0, start=4, length=1),
            error("length", RuntimeError, r"1 \+ length 3 exceeds the size 3", normal(3), dim=0,
                  start=1, length=3),
            error("negative", RuntimeError, "length -1", normal(3), dim=0, start=1, length=-1),
            error("0d", RuntimeError, NO_DIM, normal(), dim=0, start=0, length=1),
        ],
    ),
    Op(
        "narrow", [sample("tensor", normal(5, 3), integers(1, 3))],
        [error("float", RuntimeError, "start must be an integer", normal(3), normal())],
        ours=lambda x, start: mg.narrow(x, 0, start, 2),
        theirs=lambda x, start: torch.narrow(x, 0, start, 2),
    ),
    Op(
        "select",
        [
            sample("row", normal(3, 4), dim=0, index=1),
            sample("column", normal(3, 4).scattered, dim=-1, index=-2),
            sample("vector", normal(3), dim=0, index=2),
        ],
        [
            error("range", IndexError, "3.*of shape", normal(3), dim=0, index=3),
            error("0d", IndexError, NO_DIM, normal(), dim=0, index=0),
            error("dim", IndexError, "got 2", normal(2, 3), dim=2, index=0),
        ],
    ),
    Op(
        "broadcast_to",
        [
            sample("rows", normal(1, 3), size=(4, 3)),
            sample("front", normal(3).scattered, size=(2, 4, 3)),
            sample("0d", normal(), size=(2, 2)),
            sample("empty", normal(1, 3), size=(0, 3)),
        ],
        [error("size", RuntimeError, "only dimensions of size 1", normal(2, 3), size=(4, 3))],
    ),
    Op(
        "meshgrid",
        [
            sample("two", normal(3), normal(4), indexing="ij"),
            sample("swapped", normal(3), normal(4).scattered, normal(2), indexing="xy"),
            sample("one", normal(3), indexing="xy"),
            sample("0d", normal(3), normal(), indexing="ij"),
            sample("empty", normal(0), normal(2), indexing="ij"),
        ],
        [
            error("indexing", RuntimeError, "'ij' or 'xy', got 'ji'", normal(3), indexing="ji"),
            error("2d", RuntimeError, "scalars or vectors", normal(3, 2), normal(2)),
            error("dtypes", RuntimeError, "of one dtype", normal(3), integers(0, 3, 3)),
            error("none", RuntimeError, "scalars or vectors"),
        ],
    ),
    Op(
        "meshgrid", [sample("list", normal(3), normal(2))], ours=lambda *xs: mg.meshgrid(list(xs)),
        theirs=lambda *xs: torch.meshgrid(list(xs), indexing="ij"),
    ),
    triangle("tril"),
    triangle("triu"),
]
