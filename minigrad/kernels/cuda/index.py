"""Adding into what an index selects. The kernel stands in `index.cu`."""

from __future__ import annotations

from typing import Any

import cupy

from minigrad.kernels.cuda.module import contiguous, kernel, launch


def index_add(gx: Any, index: Any, g: Any) -> None:
    """gx[index] += g, where an element that `index` names k times receives k terms.

    gx is C-contiguous, g has the shape of gx[index]. Instead of atomic additions, whose order is
    left to chance, the positions are sorted, and one thread adds up all that goes to its position.
    A mask as the index makes CuPy wait for the GPU to count it; integers and slices do not.
    """
    if not g.size:
        return
    positions = cupy.arange(gx.size).reshape(gx.shape)[index].ravel()
    order = cupy.argsort(positions)  # CuPy's sort is stable: terms keep the order of the index
    function = kernel("add_sorted", gx.dtype)
    launch(function, g.size, gx, positions[order], order, contiguous(g), g.size)
