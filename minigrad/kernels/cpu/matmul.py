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
    if out.ndim > 2:
        a = np.broadcast_to(a, (*batch, m, k))
        b = np.broadcast_to(b, (*batch, k, p))
        parallel(lambda i, j: np.matmul(a[i:j], b[i:j], out=out[i:j]), len(out), work, blas=True)
    elif m >= p:
        parallel(lambda i, j: np.matmul(a[i:j], b, out=out[i:j]), m, work, blas=True)
    else:
        parallel(lambda i, j: np.matmul(a, b[:, i:j], out=out[:, i:j]), p, work, blas=True)
    return out


def linear(x: np.ndarray, w: np.ndarray, b: np.ndarray | None) -> np.ndarray:
    """x w^T + b: (..., I), (O, I), (O,) -> (..., O).

    Computed as w x^T, which BLAS does up to twice as fast for the few rows of a batch; in memory y
    has its rows innermost, as maps have their images.
    """
    y = matmul(w, x.reshape(-1, x.shape[-1]).T)  # (O, rows)
    if b is not None:
        y += b[:, None]
    return y.T.reshape(*x.shape[:-1], len(w))


