"""Questions about tensors: bools without a gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.ops.samples import Op, error, exactly, integers, normal, plateaus, sample
from tests.ops.table.elementwise import MISMATCH

NUMBER = sample("number", plateaus(3, 4), 1)
SAME, OTHER = exactly([1.0, 2.0]), exactly([1.0, 2.000001])
NAN = exactly(np.nan)
NUMBERS = [
    error("number-first", TypeError, "tensor was expected, not 2", 2, normal(3)),
    error("number", TypeError, "tensor was expected, not 2", normal(3), 2),
]
BOOLS = exactly([True, False, True]), exactly([True, True, False])


def question(name: str, *samples: Any, **fields: Any) -> Op:
    return Op(name, list(samples), numerical=None, **fields)


def comparison(name: str, *more: Any) -> Op:
    return question(
        name,
        sample("same", plateaus(3, 4), plateaus(3, 4)),
        sample("broadcast", plateaus(3, 1), plateaus(4)),
        sample("integers", integers(-2, 2, 5), plateaus(3, 5)),
        sample("empty", normal(0, 4), normal(4)),
        *more,
        errors=[*MISMATCH, *(NUMBERS if name.startswith("logical") else NUMBERS[:1])],
    )


def special(name: str) -> Op:
    return question(
        name,
        sample("special", exactly([0.0, np.inf, -np.inf, np.nan])),
        sample("0d", normal()),
        sample("integers", integers(0, 3, 4)),
    )


OPS = [
    *(comparison(name, NUMBER) for name in ("eq", "ne", "lt", "le", "gt", "ge")),
    comparison("logical_and", sample("bools", *BOOLS)),
    comparison("logical_or", sample("bools", *BOOLS)),
    *map(special, ("isnan", "isinf", "isfinite")),
    *(
        question(
            name,
            sample("bools", *BOOLS),
            sample("integers", integers(0, 9, 5), integers(0, 9, 5)),
            sample("broadcast", integers(0, 9, 3, 1), integers(0, 9, 4)),
            errors=MISMATCH,
        )
        for name in ("bitwise_and", "bitwise_or", "bitwise_xor")
    ),
    question("bitwise_not", sample("bools", BOOLS[0]), sample("integers", integers(0, 9, 5))),
    question("logical_not", sample("floats", plateaus(3, 4)), sample("bools", BOOLS[0])),
    question("equal", sample("same", SAME, SAME), sample("other", SAME, OTHER),
             sample("shape", normal(3), normal(1, 3))),
    question("allclose", sample("same", SAME, OTHER), sample("other", normal(3), normal(3)),
             sample("nan", NAN, NAN), sample("equal-nan", NAN, NAN, equal_nan=True)),
    question("is_tensor", sample("yes", normal(3)), sample("no", 3.0)),
    question("is_floating_point", sample("yes", normal(3)), sample("no", integers(0, 3, 3))),
]
