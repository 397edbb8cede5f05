"""How a tensor prints: as PyTorch prints it, `tensor([1.0000, 2.5000], requires_grad=True)`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad import backend, dtypes
from minigrad.tensor import Tensor

LINE = 80  # characters
SUMMARIZED = 1000  # elements; of more, each dimension shows EDGE at either end
EDGE = 3


def tensor_repr(x: Tensor) -> str:
    """The text of a tensor: its values, and whatever a reader cannot tell from them."""
    array = backend.to_device(x.array, backend.CPU)
    indent = len("tensor(")
    values = _Format(array).rows(array, indent) if array.size else "[]"
    text = f"tensor({values}"
    for note in _notes(x, array):
        room = LINE - (len(text) - text.rfind("\n") - 1)
        text += (",\n" + " " * indent if len(note) + 4 > room else ", ") + note
    return text + ")"


def _notes(x: Tensor, array: np.ndarray) -> list[str]:
    notes = []
    if x.is_cuda:
        notes.append(f"device='{x.device}'")
    if not array.size and array.ndim != 1:
        notes.append(f"size={tuple(array.shape)}")
    evident = {dtypes.DEFAULT, dtypes.int64, dtypes.bool} if array.size else {dtypes.DEFAULT}
    if array.dtype not in evident:
        notes.append(f"dtype=minigrad.{array.dtype}")
    if x.grad_fn is not None:
        notes.append(f"grad_fn=<{x.grad_fn.name()}Backward>")
    elif x.requires_grad:
        notes.append("requires_grad=True")
    return notes


class _Format:
    """One format for all the values that are shown, as wide as the widest needs."""

    def __init__(self, array: np.ndarray) -> None:
        self.summarize = array.size > SUMMARIZED
        for axis, size in enumerate(array.shape):
            array = array.take([i for i in self.places(size) if i is not None], axis)
        values = array.ravel().tolist()
        self.spec = ""
        if array.dtype.kind in "fV":
            values = [v for v in values if v and math.isfinite(v)]
            self.spec = self._float_spec([abs(v) for v in values])
        self.width = max((len(self.text(v)) for v in values), default=1)

    @staticmethod
    def _float_spec(values: list[float]) -> str:
        if not values:
            return ".0f"
        whole = all(v == math.floor(v) for v in values)
        if max(values) / min(values) > 1e3 or max(values) > 1e8 or (
            not whole and min(values) < 1e-4
        ):
            return ".4e"
        return ".0f" if whole else ".4f"

    def text(self, value: Any) -> str:
        point = "." if self.spec == ".0f" and math.isfinite(value) else ""
        return (format(value, self.spec) if self.spec else str(value)) + point

    def places(self, size: int) -> list[int | None]:
        """The indices that are shown; None stands for those left out."""
        if not self.summarize or size <= 2 * EDGE:
            return list(range(size))
        return [*range(EDGE), None, *range(size - EDGE, size)]

    def rows(self, array: np.ndarray, indent: int) -> str:
        """Nested lists: numbers side by side, rows below each other, a blank line for each axis."""
        if not array.ndim:
            return self.text(array.item())
        if array.ndim > 1:
            parts = [
                "..." if i is None else self.rows(array[i], indent + 1)
                for i in self.places(len(array))
            ]
            gap = "," + "\n" * (array.ndim - 1) + " " * (indent + 1)
            return f"[{gap.join(parts)}]"
        words = [
            " ..." if i is None else self.text(array[i].item()).rjust(self.width)
            for i in self.places(len(array))
        ]
        step = max(1, (LINE - indent) // (self.width + 2))
        lines = [", ".join(words[i : i + step]) for i in range(0, len(words), step)]
        return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"
