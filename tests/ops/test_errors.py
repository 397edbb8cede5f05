"""Mistakes of a caller: each is refused with one message that says what came and what would fit."""

from __future__ import annotations

import pytest

from tests.ops.samples import Error, Op, make, place_all
from tests.ops.table import OPS

MISTAKES = [
    pytest.param(op, mistake, id=f"{op.name}-{mistake.name}") for op in OPS for mistake in op.errors
]


@pytest.mark.parametrize(("op", "mistake"), MISTAKES)
def test_error(op: Op, mistake: Error) -> None:
    inputs = place_all(mistake.inputs, make(mistake.name, mistake.inputs))
    with pytest.raises(mistake.kind, match=mistake.message):
        op.call_ours(*inputs, **mistake.options)
