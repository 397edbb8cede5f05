"""The dtypes, and the one promotion rule.

A dtype is a `numpy.dtype`; bfloat16 is the library ml_dtypes', which is loaded where somebody asks
for it (`load_bfloat16`), and known by its kind, "V", everywhere else. The rule is PyTorch's: the
category (bool < integer < float) is decided first, and an operand may raise the dtype within its
category only if it has dimensions. NumPy's own rule would turn float32 times a float64 *scalar*
into float64, silently and for a whole network, so every operation with several operands asks
`result_type` and casts before it computes.
Next: `backend.py` (where arrays live).
"""

from __future__ import annotations

import builtins
import functools
from typing import Any

import numpy as np

float16 = half = np.dtype(np.float16)
float32 = float = np.dtype(np.float32)
float64 = double = np.dtype(np.float64)
uint8 = np.dtype(np.uint8)
int8 = np.dtype(np.int8)
int16 = short = np.dtype(np.int16)
int32 = int = np.dtype(np.int32)
int64 = long = np.dtype(np.int64)
bool = np.dtype(np.bool_)

SUPPORTED = frozenset({float16, float32, float64, uint8, int8, int16, int32, int64, bool})
DEFAULT = float32  # what Python floats become

_CATEGORY = {"b": 0, "u": 1, "i": 1, "f": 2, "V": 2, "c": 3}  # complex: only the gradient checker's


def load_bfloat16() -> np.dtype:
    """`minigrad.bfloat16`: float32 without its last 16 bits: its range, but 8 bits' precision.

    Raises:
        ModuleNotFoundError: ml_dtypes is not installed; says what to type.
    """
    try:
        from ml_dtypes import bfloat16
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "bfloat16 needs the library ml_dtypes: pip install 'minigrad[bfloat16]'"
        ) from None
    return np.dtype(bfloat16)


def is_supported(dtype: np.dtype) -> builtins.bool:
    """Whether a Tensor can hold `dtype`; complex numbers are the gradient checker's."""
    return dtype in SUPPORTED or dtype.kind == "c" or dtype.name == "bfloat16"


def is_floating_point(dtype: np.dtype) -> builtins.bool:
    """Whether gradients can flow through `dtype`."""
    return dtype.kind in "fVc"


def is_half(dtype: np.dtype) -> builtins.bool:
    """Whether it is float16 or bfloat16."""
    return dtype.itemsize == 2 and dtype.kind in "fV"


def accumulator(dtype: np.dtype) -> np.dtype:
    """The dtype in which many numbers of `dtype` are added up: 16 bits are too few."""
    return float32 if is_half(dtype) else dtype


def can_cast(source: np.dtype, target: np.dtype) -> builtins.bool:
    """Whether an in-place operation may write `source` into `target`: no category is lost."""
    return _CATEGORY[source.kind] <= _CATEGORY[target.kind]


def promote_types(a: np.dtype, b: np.dtype) -> np.dtype:
    """The dtype of the higher category; within one category the smallest that holds both."""
    if a != b:  # NumPy does not know that float32 is the smallest that holds a bfloat16
        a, b = (float32 if x.kind == "V" and y.kind in "fVc" else x for x, y in ((a, b), (b, a)))
    if _CATEGORY[a.kind] != _CATEGORY[b.kind]:
        return a if _CATEGORY[a.kind] > _CATEGORY[b.kind] else b
    return np.promote_types(a, b)


def of_number(value: Any) -> np.dtype:
    """The dtype that a Python number stands for."""
    if isinstance(value, builtins.bool):
        return bool
    if isinstance(value, builtins.int):
        return int64
    return DEFAULT if isinstance(value, builtins.float) else np.dtype(np.complex64)


def result_type(*operands: Any) -> np.dtype:
    """The dtype in which `operands` (arrays, or Python numbers) are combined.

    Arrays with dimensions decide; a 0-d array, and after it a Python number, counts only where it
    is of a higher category. Source: PyTorch, "Tensor Attributes", type promotion.
    """
    result: np.dtype | None = None
    arrays = [x for x in operands if hasattr(x, "dtype")]
    tiers = (
        [x.dtype for x in arrays if x.ndim > 0],
        [x.dtype for x in arrays if x.ndim == 0],
        [of_number(x) for x in operands if not hasattr(x, "dtype")],
    )
    for tier in filter(None, tiers):
        combined = functools.reduce(promote_types, tier)
        if result is None or _CATEGORY[combined.kind] > _CATEGORY[result.kind]:
            result = combined
    assert result is not None, "result_type needs an operand"
    return result
