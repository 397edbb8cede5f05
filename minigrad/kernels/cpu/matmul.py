"""Matrix products: BLAS, with each core taking a share of the work.

BLAS's own threads are never used, not even for small products: after each of theirs they keep
looking for more work for a while, on the very cores that are needed next.

Next: `conv.py`.
"""

from __future__ import annotations

import numpy as np

from minigrad.kernels.cpu import memory
from minigrad.kernels.cpu.cores import one_blas_thread, parallel


def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """`numpy.matmul`: (..., M, K) times (..., K, P)."""
    if a.ndim == 1 or b.ndim == 1:
        with one_blas_thread():
            return np.asarray(np.matmul(a, b))
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    m, k, p = a.shape[-2], a.shape[-1], b.shape[-1]
    out = memory.empty((*batch, m, p), a.dtype)
    work = out.size * k / 25  # nanoseconds of one core
    product = np.multiply if k == 1 else np.matmul  # a column times a row: BLAS is slow at it
    if out.ndim > 2:
        a = np.broadcast_to(a, (*batch, m, k))
        b = np.broadcast_to(b, (*batch, k, p))
        parallel(lambda i, j: product(a[i:j], b[i:j], out=out[i:j]), len(out), work, blas=True)
    elif m >= p:
        parallel(lambda i, j: product(a[i:j], b, out=out[i:j]), m, work, blas=True)
    else:
        parallel(lambda i, j: product(a, b[:, i:j], out=out[:, i:j]), p, work, blas=True)
    return out


def linear(x: np.ndarray, w: np.ndarray, b: np.ndarray | None) -> np.ndarray:
    """x w^T + b: (..., I), (O, I), (O,) -> (..., O).

    Weights that are large beside the batch are multiplied as w x^T, which BLAS does up to twice as
    fast; in memory y then has its rows innermost, as maps have their images.
    """
    rows = x.reshape(-1, x.shape[-1])
    if min(w.shape) < 4 * len(rows):
        y = matmul(rows, w.T)  # (rows, O)
        if b is not None:
            y += b
    else:
        transposed = matmul(w, rows.T)  # (O, rows)
        if b is not None:
            transposed += b[:, None]
        y = transposed.T
    return y.reshape(*x.shape[:-1], len(w))
