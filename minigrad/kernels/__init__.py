"""Arrays in, arrays out: `of(array)` is the module whose kernels work on that array.

`kernels.cpu` and `kernels.cuda` hold the same names with the same signatures; `reference/` holds
them once more as obvious loops. Read that first, then `cpu/conv.py`. Nothing here knows Tensors.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from minigrad import backend
from minigrad.kernels import cpu


def _cuda_generator(seed: int) -> Any:
    from minigrad.kernels.cuda.random import Generator

    return Generator(seed)


backend.generators["cuda"] = _cuda_generator


def of(array: Any) -> ModuleType:
    """`kernels.cuda` for a CuPy array, `kernels.cpu` for everything else."""
    if backend.is_cupy(array):
        from minigrad.kernels import cuda

        return cuda
    return cpu
