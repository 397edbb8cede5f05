"""Matrix products, from vectors to batches, and the fully connected layer."""

from __future__ import annotations

import math

import torch

from minigrad.kernels import reference as ref
from tests.ops.samples import Op, error, exactly, integers, normal, sample

ONE_DTYPE = error("dtype", RuntimeError, "one dtype, got float64, int64", normal(2, 4),
                  integers(0, 3, 4, 2))

OPS = [
    Op(
        "matmul",
        [
            sample("2d", normal(3, 4), normal(4, 2)),
            sample("dot", normal(4), normal(4)),
            sample("row", normal(4), normal(4, 2)),
            sample("column", normal(3, 4), normal(4)),
            sample("row-batch", normal(4), normal(2, 4, 3)),
            sample("column-batch", normal(2, 3, 4), normal(4)),
            sample("batch", normal(2, 3, 4), normal(2, 4, 2)),
            sample("broadcast", normal(2, 1, 3, 4), normal(3, 4, 2)),
            sample("shared", normal(2, 3, 4), normal(4, 2)),
            sample("size-1", normal(1, 1), normal(1, 1)),
            sample("empty", normal(0, 4), normal(4, 2)),
            sample("inner-0", normal(3, 0), normal(0, 2)),
            sample("scattered", normal(3, 4).scattered, normal(4, 2).scattered),
            sample("tall", normal(900, 30), normal(30, 10)),
            sample("wide", normal(10, 30), normal(30, 900)),
            sample("threads", normal(4, 40, 50), normal(4, 50, 40)),
        ],
        [
            error("inner", RuntimeError, r"inner sizes differ \(3 and 2\)", normal(2, 3),
                  normal(2, 3)),
            error("0d", RuntimeError, "at least one dimension", normal(2), normal()),
            error("number", RuntimeError, "at least one dimension", normal(2), 2.0),
            error("batch", RuntimeError, r"\(2, 3, 4\) and \(3, 4, 2\)", normal(2, 3, 4),
                  normal(3, 4, 2)),
        ],
        theirs=torch.matmul, reference=ref.matmul, unreferenced=("tall", "wide", "threads"),
    ),
    Op(
        "mm",
        [
            sample("2d", normal(3, 4), normal(4, 2)),
            sample("empty", normal(0, 4), normal(4, 2)),
            sample("integers", integers(0, 9, 3, 4), integers(0, 9, 4, 2)),
            sample("scattered", normal(3, 4).scattered, normal(4, 2).scattered),
        ],
        [
            error("1d", RuntimeError, r"\[mm\] expected two 2-D tensors", normal(3), normal(3)),
            error("inner", RuntimeError, "inner sizes differ", normal(2, 3), normal(2, 3)),
            ONE_DTYPE,
        ],
        reference=ref.matmul,
    ),
    Op(
        "bmm",
        [
            sample("batch", normal(2, 3, 4), normal(2, 4, 2)),
            sample("size-1", normal(1, 1, 1), normal(1, 1, 1)),
            sample("empty", normal(0, 3, 4), normal(0, 4, 2)),
            sample("scattered", normal(2, 3, 4).scattered, normal(2, 4, 2).scattered),
        ],
        [error("batch", RuntimeError, "as many matrices each", normal(1, 3, 4), normal(2, 4, 2))],
        reference=ref.matmul,
    ),
    Op(
        "addmm",
        [
            sample("matrix", normal(3, 2), normal(3, 4), normal(4, 2)),
            sample("vector", normal(2), normal(3, 4), normal(4, 2), beta=0.5, alpha=-2.0),
            sample("0d", normal(), normal(3, 4).scattered, normal(4, 2)),
            sample("empty", normal(2), normal(0, 4), normal(4, 2)),
        ],
        [
            error("input", RuntimeError, r"\(3,\) cannot be expanded to \(2, 2\)", normal(3),
                  normal(2, 2), normal(2, 2)),
            error("1d", RuntimeError, r"\[addmm\] expected two 2-D", normal(2), normal(2),
                  normal(2, 2)),
            error("dtype", RuntimeError, "one dtype", integers(0, 3, 2), normal(2, 2),
                  normal(2, 2)),
        ],
    ),
    Op(
        "addmm",
        [sample("nan", exactly([math.nan, 1.0]).fixed, normal(3, 4), normal(4, 2), beta=0)],
    ),
    Op(
        "outer",
        [
            sample("vectors", normal(3), normal(4)),
            sample("dtypes", normal(3), integers(0, 9, 2)),
            sample("empty", normal(0), normal(2)),
            sample("scattered", normal(3).scattered, normal(4)),
        ],
        [error("2d", RuntimeError, "two vectors, got 2-D and 1-D", normal(2, 2), normal(2))],
    ),
    Op(
        "linear",
        [
            sample("2d", normal(3, 4), normal(2, 4), normal(2)),
            sample("no-bias", normal(3, 4), normal(2, 4)),
            sample("1d", normal(4), normal(2, 4), normal(2)),
            sample("3d", normal(2, 3, 4), normal(5, 4), normal(5)),
            sample("size-1", normal(1, 1), normal(1, 1), normal(1)),
            sample("empty", normal(0, 4), normal(2, 4), normal(2)),
            sample("scattered", normal(3, 4).scattered, normal(2, 4).scattered,
                   normal(2).scattered),
            sample("threads", normal(64, 70), normal(80, 70), normal(80)),
        ],
        [
            error("input", RuntimeError, "must be 4", normal(2, 3), normal(2, 4)),
            error("bias", RuntimeError, r"expected \(2,\)", normal(2, 4), normal(2, 4), normal(3)),
            error("dtype", RuntimeError, "one dtype, got float64, int64", normal(2, 4),
                  integers(0, 3, 2, 4)),
        ],
        reference=ref.linear, unreferenced=("threads",),
    ),
]
