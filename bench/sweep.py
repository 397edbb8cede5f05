"""`python -m bench --only sweep`: layers at sizes that suit nobody, to find where speed falls off.

The maps of AlexNet's later layers have odd sides, the last batch of an epoch is what is left over,
and a grey image has one channel: none of these is a multiple of anything that a kernel likes.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from bench.ops import Case, measure_case
from bench.rows import Row
from minigrad import nn

SIDES, BATCHES, CHANNELS = (13, 27), (1, 3, 33), (1, 96)
FILTERS = 96
WORST = 5  # rows that are shown once more at the end


def cases() -> Iterator[Case]:
    """Each layer at each combination of sizes."""
    for C, side, N in product(CHANNELS, SIDES, BATCHES):
        layers = {
            "1x1": nn.Conv2d(C, FILTERS, 1),
            "3x3": nn.Conv2d(C, FILTERS, 3, padding=1),
            "5x5": nn.Conv2d(C, FILTERS, 5, padding=2),
            "3x3/2": nn.Conv2d(C, FILTERS, 3, stride=2, padding=1),
            "pool": nn.MaxPool2d(3, stride=2),
            "norm": nn.BatchNorm2d(C),
            "lrn": nn.LocalResponseNorm(5),
            "relu": nn.ReLU(),
        }
        for name, layer in layers.items():
            yield Case(name, layer, (N, C, side, side))


def measure(rounds: int | None) -> Iterator[Row]:
    """The rows of the sweep.

    Raises:
        Disagreement: a layer's result differs from PyTorch's.
    """
    for case in cases():
        yield measure_case("sweep", case, rounds)


def worst(rows: list[Row]) -> list[Row]:
    """Those of the sweep's rows that are slowest beside PyTorch, the worst first."""
    swept = (row for row in rows if row.network == "sweep")
    return sorted(swept, key=lambda row: row.ratio().median)[:WORST]
