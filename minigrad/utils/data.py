"""Data sets and the loader that makes batches of them: PyTorch's `torch.utils.data`.

A data set has a length and gives an item for an index. A DataLoader decides which indices belong
together and makes batches of their items, if wanted in a thread that works ahead of the training.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from queue import SimpleQueue
from typing import Any

import numpy as np

from minigrad import backend, dtypes, ops
from minigrad.tensor import Tensor

PREFETCHED = 2  # batches that the thread may be ahead


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
        return _collated(self.dataset, self.indices[indices])

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


class DataLoader:
    """Iterates over a data set in batches, once an epoch: `for images, labels in loader`.

    Args:
        dataset: a Dataset, or anything with `__len__` and `__getitem__`.
        batch_size: items a batch; the last batch is smaller unless `drop_last`.
        shuffle: a new random order each epoch: one permutation, drawn when the iteration begins.
        sampler: an iterable of indices, instead of `shuffle`.
        num_workers: 0 makes each batch when it is asked for. Any other number starts one thread
            an epoch that makes batches ahead; NumPy lets the training run meanwhile. The items are
            the same, but a data set that itself draws from the global generator then does so at
            the same time as dropout does, in no fixed order: give it a generator of its own.
        collate_fn: makes a batch of a list of items, instead of `default_collate`.
        pin_memory: accepted for PyTorch's sake, without effect.
        generator: what the order is drawn from, by default the CPU generator that `manual_seed`
            seeds.

    Raises:
        ValueError: batch_size below 1, negative num_workers, or both `shuffle` and a `sampler`.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        sampler: Iterable[int] | None = None,
        *,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        generator: np.random.Generator | None = None,
    ) -> None:
        if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size < 1:
            raise ValueError(
                "batch_size should be a positive integer value, "
                f"but got batch_size={batch_size}"
            )
        if num_workers < 0:
            raise ValueError(
                "num_workers option should be non-negative; use num_workers=0 to make batches "
                "without a thread."
            )
        if shuffle and sampler is not None:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        self.dataset, self.batch_size, self.shuffle, self.sampler = (
            dataset, batch_size, shuffle, sampler,
        )
        self.num_workers, self.collate_fn, self.pin_memory = num_workers, collate_fn, pin_memory
        self.drop_last, self.generator = drop_last, generator

    def __len__(self) -> int:
        """Batches an epoch."""
        items = len(self.dataset if self.sampler is None else self.sampler)  # type: ignore[arg-type]
        return items // self.batch_size if self.drop_last else -(-items // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        order = self._order()  # drawn here, by the caller and not by the thread: reproducible
        stop = len(order) - len(order) % self.batch_size if self.drop_last else len(order)
        batches = (
            self._make(order[start : min(start + self.batch_size, stop)])
            for start in range(0, stop, self.batch_size)
        )
        return _ahead(batches, PREFETCHED) if self.num_workers else batches

    def _order(self) -> np.ndarray:
        if self.sampler is not None:
            return np.fromiter(self.sampler, np.int64)
        if self.shuffle:
            return (self.generator or backend.generator("cpu")).permutation(len(self.dataset))
        return np.arange(len(self.dataset))

    def _make(self, indices: np.ndarray) -> Any:
        if self.collate_fn is not None:
            return self.collate_fn([self.dataset[i] for i in indices.tolist()])
        return _collated(self.dataset, indices)


def _collated(dataset: Any, indices: np.ndarray) -> Any:
    """The batch of the items at `indices`, by the data set's own `get_batch` where it has one."""
    for cls in type(dataset).__mro__:
        if "get_batch" in vars(cls):
            return dataset.get_batch(indices)
        if "__getitem__" in vars(cls):
            break  # this class changed what an item is: an inherited get_batch knows nothing of it
    return default_collate([dataset[i] for i in indices.tolist()])


def default_collate(batch: Sequence[Any]) -> Any:
    """A batch of items: tensors, arrays and numbers are stacked, tuples and dicts field by field.

    [(x0, 3), (x1, 5)] becomes [stack([x0, x1]), tensor([3, 5])].

    Raises:
        TypeError: the items are something else.
        RuntimeError: tuples of different lengths, or tensors of different shapes.
    """
    first = batch[0]
    if isinstance(first, Tensor):
        return ops.stack(batch)
    if isinstance(first, (np.ndarray, np.generic)):
        return Tensor(np.stack(batch))
    if isinstance(first, bool):
        return Tensor(np.array(batch, dtypes.bool))
    if isinstance(first, (int, float)):
        return Tensor(np.array(batch, dtypes.int64 if isinstance(first, int) else dtypes.float64))
    if isinstance(first, (str, bytes)):
        return batch
    if isinstance(first, Mapping):
        return {key: default_collate([item[key] for item in batch]) for key in first}
    if isinstance(first, Sequence):
        if any(len(item) != len(first) for item in batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        fields = [default_collate(field) for field in zip(*batch, strict=True)]
        return type(first)(*fields) if hasattr(first, "_fields") else fields
    raise TypeError(
        "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; "
        f"found {type(first)}"
    )


def _ahead(batches: Iterator[Any], depth: int) -> Iterator[Any]:
    """Yield what `batches` yields, while a thread makes up to `depth` of them in advance.

    The thread takes a free slot before it makes a batch; the consumer returns the slot when it
    takes the batch. An error in the thread is raised here. When the consumer stops early, or is
    collected, the thread is told, given a slot to wake up by, and waited for.
    """
    ready: SimpleQueue[tuple[str, Any]] = SimpleQueue()
    slots = threading.Semaphore(depth)
    stopped = threading.Event()

    def work() -> None:
        try:
            while slots.acquire() and not stopped.is_set():
                ready.put(("batch", next(batches)))
        except StopIteration:
            ready.put(("end", None))
        except BaseException as error:
            ready.put(("error", error))

    thread = threading.Thread(target=work, name="minigrad-data", daemon=True)
    thread.start()
    try:
        while True:
            kind, value = ready.get()
            if kind == "end":
                return
            if kind == "error":
                raise value
            slots.release()
            yield value
    finally:
        stopped.set()
        slots.release()
        thread.join()
