"""How items become a batch: stacked, field by field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minigrad import dtypes, ops
from minigrad.tensor import Tensor


def collated(dataset: Any, indices: np.ndarray) -> Any:
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
