"""The reference computes in float64, whatever comes in; `in_double` sees to that.

One decorator, so that the functions themselves can be about the mathematics only.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np


def in_double(function: Callable[..., Any]) -> Callable[..., Any]:
    """Widen the floating arguments to float64; return floats in the dtype of the first array."""

    @wraps(function)
    def wrapped(*args: Any, **options: Any) -> Any:
        dtype = next(arg.dtype for arg in args if isinstance(arg, np.ndarray))
        result = function(
            *(_widen(arg) for arg in args), **{key: _widen(arg) for key, arg in options.items()}
        )
        if isinstance(result, tuple):
            return tuple(_narrow(part, dtype) for part in result)
        return _narrow(result, dtype)

    return wrapped


def _is_float(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def _widen(value: Any) -> Any:
    return value.astype(np.float64) if _is_float(value) else value


def _narrow(value: Any, dtype: np.dtype) -> Any:
    return value.astype(dtype) if _is_float(value) and dtype.kind == "f" else value
