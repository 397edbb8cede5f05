"""The loader decides which items belong together and makes batches of them, if wanted in a thread
that works ahead of the training.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue
from typing import Any

import numpy as np

from minigrad.utils.data.collate import collated
from minigrad.utils.data.sampler import RandomSampler, SequentialSampler

PREFETCHED = 2  # batches that the thread may be ahead


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
        pin_memory, persistent_workers: accepted for PyTorch's sake, without effect.
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
        persistent_workers: bool = False,
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
        if sampler is None:
            shuffled = RandomSampler(dataset, generator=generator)
            sampler = shuffled if shuffle else SequentialSampler(dataset)
        self.dataset, self.batch_size, self.sampler, self.drop_last = (
            dataset, batch_size, sampler, drop_last,
        )
        self.num_workers, self.collate_fn, self.pin_memory = num_workers, collate_fn, pin_memory

    def __len__(self) -> int:
        """Batches an epoch."""
        items = len(self.sampler)  # type: ignore[arg-type]
        return items // self.batch_size if self.drop_last else -(-items // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        order = np.fromiter(self.sampler, np.int64)  # here, not in the thread: reproducible
        stop = len(order) - len(order) % self.batch_size if self.drop_last else len(order)
        batches = (
            self._make(order[start : min(start + self.batch_size, stop)])
            for start in range(0, stop, self.batch_size)
        )
        return _ahead(batches, PREFETCHED) if self.num_workers else batches

    def _make(self, indices: np.ndarray) -> Any:
        if self.collate_fn is not None:
            return self.collate_fn([self.dataset[i] for i in indices.tolist()])
        return collated(self.dataset, indices)


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
