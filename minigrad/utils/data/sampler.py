"""Samplers: in which order the items of a data set are taken, anew each epoch.

A DataLoader takes any iterable of indices as its `sampler`; these are the usual ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from minigrad import backend


class SequentialSampler:
    """One index after the other."""

    def __init__(self, data_source: Any) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class SubsetRandomSampler:
    """The given indices in random order: one permutation, drawn when the iteration begins.

    It is drawn from `generator`, by default the CPU generator that `manual_seed` seeds.
    """

    def __init__(
        self, indices: Sequence[int], generator: np.random.Generator | None = None
    ) -> None:
        self.indices, self.generator = indices, generator

    def __iter__(self) -> Iterator[int]:
        order = (self.generator or backend.generator("cpu")).permutation(len(self.indices))
        return (int(self.indices[i]) for i in order.tolist())

    def __len__(self) -> int:
        return len(self.indices)


class RandomSampler(SubsetRandomSampler):
    """All indices in random order, as `SubsetRandomSampler` draws it."""

    def __init__(self, data_source: Any, *, generator: np.random.Generator | None = None) -> None:
        super().__init__(range(len(data_source)), generator)
