"""float16 on the CPU is a storage format: sums and powers are computed in float32.

Processors of today have no fast float16 arithmetic, and a sum of a few thousand numbers would lose
most of its eleven bits. `in_single` keeps that out of the kernels.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import numpy as np

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def in_single(kernel: Kernel) -> Kernel:
    """Let `kernel` work in float32 where its first argument is float16, and return float16."""

    @wraps(kernel)
    def wrapped(*args: Any, **options: Any) -> Any:
        if args[0].dtype != np.float16:
            return kernel(*args, **options)
        result = kernel(*map(_widen, args), **options)
        if isinstance(result, tuple):
            return tuple(part.astype(np.float16) for part in result)
        return result.astype(np.float16)

    return wrapped  # type: ignore[return-value]


def _widen(value: Any) -> Any:
    is_half = isinstance(value, np.ndarray) and value.dtype == np.float16
    return value.astype(np.float32) if is_half else value
