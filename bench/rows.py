"""A row of the results: what was timed, all samples, and how they compare. See `table.py` for text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from alexnet.timing import Samples, Series
from alexnet.twin import MINIGRAD

TOTAL = "total"


@dataclass(frozen=True)
class Row:
    """One comparison of minigrad with PyTorch.

    Attributes:
        kind: "network" for a whole network, "op" for one of its ops.
        network: whose shapes these are.
        name: "training step", or the layer's path and class.
        detail: the layer as it prints, or nothing.
        shape: of the input, (N, ...).
        samples: variant -> phase -> seconds; "minigrad", and PyTorch's by what sets them apart.
        times: how often the network has just this layer at this shape.
    """

    kind: str
    network: str
    name: str
    shape: tuple[int, ...]
    samples: dict[str, Samples]
    detail: str = ""
    times: int = 1

    @property
    def baseline(self) -> str:
        """The variant of PyTorch that is fastest in all: the one to be compared with."""
        theirs = [variant for variant in self.samples if variant != MINIGRAD]
        return min(theirs, key=lambda variant: self.seconds(variant).median)

    @property
    def phases(self) -> list[str]:
        """The parts that make up the time."""
        return list(self.samples[MINIGRAD])

    def seconds(self, variant: str, phase: str = TOTAL) -> Series:
        """The seconds of one phase, or of all together, round by round."""
        phases = list(self.samples[variant].values())
        if phase != TOTAL:  # PyTorch's may be called otherwise: it is the place that counts
            phases = [phases[self.phases.index(phase)]]
        return Series.sum_of(phases)

    def ratio(self, phase: str = TOTAL) -> Series:
        """PyTorch's time / ours, round by round: above 1 minigrad is faster."""
        return self.seconds(self.baseline, phase).over(self.seconds(MINIGRAD, phase))

    def extra_seconds(self) -> float:
        """What it costs a training step more than PyTorch's; negative where it costs less."""
        ours, theirs = self.seconds(MINIGRAD), self.seconds(self.baseline)
        return self.times * (ours.median - theirs.median)

    def images_per_second(self, variant: str) -> float:
        return self.shape[0] / self.seconds(variant).median

    def to_json(self) -> dict[str, Any]:
        """Everything, with all samples."""
        parts = [TOTAL, *self.phases] if len(self.phases) > 1 else [TOTAL]
        return {
            "kind": self.kind,
            "network": self.network,
            "name": self.name,
            "detail": self.detail,
            "shape": list(self.shape),
            "times": self.times,
            "n": self.ratio().n,
            "baseline": self.baseline,
            "ratio": {part: _summary(self.ratio(part)) for part in parts},
            "seconds": {
                variant: {part: _summary(self.seconds(variant, part)) for part in parts}
                for variant in self.samples
            },
            "images_per_second": {v: self.images_per_second(v) for v in self.samples},
            "samples": self.samples,
        }


def _summary(series: Series) -> dict[str, float]:
    return {"median": series.median, "min": series.least, "max": series.most}
