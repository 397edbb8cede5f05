"""Running sums, and products with and without zeros."""

from __future__ import annotations

import minigrad as mg
from minigrad.kernels import reference as ref
from tests.ops.samples import Op, exactly, integers, mask, normal, positive, sample
from tests.ops.table.reduce import NO_SUCH_DIM, over

ZEROS = exactly([[2.0, 0.0, 3.0], [0.0, 0.0, 4.0], [5.0, 6.0, 0.0]])

OPS = [
    Op(
        "cumsum",
        [
            sample("rows", normal(3, 4), dim=0),
            sample("last", normal(2, 3, 4), dim=-1),
            sample("0d", normal(), dim=0),
            sample("size-1", normal(1, 1), dim=1),
            sample("empty", normal(0, 3), dim=0),
            sample("integers", integers(0, 9, 5), dim=0),
            sample("bools", mask(5), dim=0),
            sample("scattered", normal(4, 3).scattered, dim=1),
            sample("long", positive(3, 4000), dim=1),
        ],
        [NO_SUCH_DIM],
        reference=lambda x, dim: ref.cumsum(x, dim), unreferenced=("0d", "bools"),
    ),
    Op("cumsum", [sample("dtype", integers(0, 9, 4), dim=0, dtype=mg.float64)], numerical=None),
    Op(
        "prod",
        [
            sample("all", normal(3, 4)),
            sample("dim", normal(3, 4), dim=1),
            sample("keepdim", normal(2, 3, 4), dim=-2, keepdim=True),
            sample("zeros", ZEROS, dim=1),
            sample("zero", exactly([2.0, 0.0, 3.0])),
            sample("0d", normal()),
            sample("0d-dim", normal(), dim=0, keepdim=True),
            sample("size-1", normal(3, 1), dim=1),
            sample("empty", normal(0, 3), dim=0),
            sample("nothing", normal(0)),
            sample("integers", integers(1, 4, 3, 4), dim=0),
            sample("bools", mask(5)),
            sample("scattered", normal(4, 3, 2).scattered, dim=1),
        ],
        [NO_SUCH_DIM],
        reference=over(ref.prod),
        unreferenced=("0d", "0d-dim", "empty", "nothing", "bools"),
    ),
    Op("prod", [sample("dtype", integers(1, 4, 4), dtype=mg.float64)], numerical=None),
]
