"""What all formulations of a convolution are made of: views, products of views, chunks of images.

Columns, lowered rows or tiles of a whole batch may need more memory than there is, and so images
are taken a chunk at a time. Read `im2col.py` next.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cupy

from minigrad.kernels import precision
from minigrad.kernels.cuda import cublas

WORK_BYTES = 256 << 20  # the most to lay out in another order at a time
as_strided = cupy.lib.stride_tricks.as_strided


def gemm(a: Any, b: Any, out: Any, accumulate: bool = False) -> None:
    """`cublas.gemm`, in TF32 where `backends.cudnn.allow_tf32` lets convolutions use it."""
    cublas.gemm(a, b, out, accumulate, tf32=precision.cudnn.allow_tf32)


def chunks(images: int, image_bytes: int) -> Iterator[slice]:
    """Slices of images for which WORK_BYTES suffice, each of one image at least."""
    step = max(1, WORK_BYTES // max(1, image_bytes))
    return (slice(start, min(start + step, images)) for start in range(0, images, step))
