"""Class numbers as vectors: one 1 among zeros."""

from __future__ import annotations

from minigrad.creation import arange
from minigrad.dtypes import int64
from minigrad.tensor import Tensor


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """(...) of class numbers -> (..., num_classes), 1 at the class and 0 elsewhere, int64.

    Args:
        num_classes: the largest number plus 1 by default.

    Raises:
        RuntimeError: not int64, negative, or not below num_classes.
    """
    if tensor.dtype != int64:
        raise RuntimeError(f"[one_hot] expects class numbers of dtype int64, got {tensor.dtype}")
    if not tensor.numel() and num_classes < 1:
        raise RuntimeError("[one_hot] cannot tell the number of classes from an empty tensor")
    largest = int(tensor.array.max()) if tensor.numel() else 0
    classes = largest + 1 if num_classes == -1 else num_classes
    if tensor.numel() and (int(tensor.array.min()) < 0 or largest >= classes):
        raise RuntimeError(f"[one_hot] class numbers must be in 0..{classes - 1}")
    return (tensor.unsqueeze(-1) == arange(classes, device=tensor.device)).long()
