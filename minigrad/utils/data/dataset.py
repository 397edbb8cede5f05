"""Data sets: what has a length and gives an item for an index. Next: `sampler.py`."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from minigrad import backend
from minigrad.tensor import Tensor
from minigrad.utils.data.collate import collated


class Dataset:
    """Base class: subclasses define `__getitem__(index)` and `__len__()`.

    A data set that can make a whole batch at once, faster than item by item, may also define
    `get_batch(indices)`, where `indices` is an array of integers; it returns the items at these
    indices, collated. DataLoader uses it unless it was given a `collate_fn`.
    """

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define __getitem__")

    def __len__(self) -> int:
        raise TypeError(f"{type(self).__name__} does not define __len__")

    def __add__(self, other: Dataset) -> ConcatDataset:
        return ConcatDataset([self, other])


class TensorDataset(Dataset):
    """Tensors of equal length; item i is a tuple of their elements i.

    Raises:
        ValueError: the lengths differ.
    """

    def __init__(self, *tensors: Tensor) -> None:
        lengths = {len(tensor) for tensor in tensors}
        if len(lengths) > 1:
            raise ValueError(f"[TensorDataset] Size mismatch between tensors: {sorted(lengths)}")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def get_batch(self, indices: np.ndarray) -> list[Tensor]:
        """One fancy index a tensor instead of an item read each and a stack."""
        return [tensor[indices] for tensor in self.tensors]

    def __len__(self) -> int:
        return len(self.tensors[0])


class Subset(Dataset):
    """The items of another data set at `indices`."""

    def __init__(self, dataset: Any, indices: Sequence[int] | np.ndarray) -> None:
        self.dataset, self.indices = dataset, np.asarray(indices, np.int64)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[int(self.indices[index])]

    def get_batch(self, indices: np.ndarray) -> Any:
        return collated(self.dataset, self.indices[indices])

    def __len__(self) -> int:
        return len(self.indices)


class ConcatDataset(Dataset):
    """Several data sets, one after the other."""

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("[ConcatDataset] datasets should not be an empty iterable")
        self.cumulative_sizes = list(accumulate(len(dataset) for dataset in self.datasets))

    def __getitem__(self, index: int) -> Any:
        if not -len(self) <= index < len(self):
            raise IndexError(f"[ConcatDataset] index {index} is out of range for {len(self)} items")
        index %= len(self)
        which = bisect_right(self.cumulative_sizes, index)
        return self.datasets[which][index - ([0, *self.cumulative_sizes][which])]

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]


def random_split(
    dataset: Any, lengths: Sequence[float], generator: np.random.Generator | None = None
) -> list[Subset]:
    """Disjoint random subsets of these lengths, or of these fractions where they sum to 1.

    What rounding leaves over goes to the first subsets, one item each. Draws one permutation from
    `generator`, by default the CPU generator that `manual_seed` seeds.

    Raises:
        ValueError: the lengths do not sum to the length of the data set.
    """
    if abs(sum(lengths) - 1) < 1e-6 and all(0 <= length <= 1 for length in lengths):
        counts = [int(len(dataset) * fraction) for fraction in lengths]
        for i in range(len(dataset) - sum(counts)):
            counts[i % len(counts)] += 1
    else:
        counts = [int(length) for length in lengths]
    if sum(counts) != len(dataset):
        raise ValueError(
            f"[random_split] Sum of input lengths ({sum(lengths)}) does not equal the length of "
            f"the input dataset ({len(dataset)})!"
        )
    order = (generator or backend.generator("cpu")).permutation(len(dataset))
    return [Subset(dataset, part) for part in np.split(order, np.cumsum(counts)[:-1])]
