"""Rows times columns: the triple loop, and the linear layer made of it.

`conv.py` comes next: a convolution is this product, taken at each position of a window.
"""

from __future__ import annotations

import math

import numpy as np

from minigrad.kernels.reference.precision import in_double


@in_double
def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """y[..., i, j] = sum over k of a[..., i, k] * b[..., k, j].

    The leading axes are broadcast. A 1-D `a` counts as one row and a 1-D `b` as one column; the
    axis that this adds is taken away again.
    """
    rows = a[None, :] if a.ndim == 1 else a
    columns = b[:, None] if b.ndim == 1 else b
    batch = np.broadcast_shapes(rows.shape[:-2], columns.shape[:-2])
    rows = np.broadcast_to(rows, batch + rows.shape[-2:])  # (..., I, K)
    columns = np.broadcast_to(columns, batch + columns.shape[-2:])  # (..., K, J)
    if rows.shape[-1] != columns.shape[-2]:
        raise ValueError(f"[matmul] shapes {a.shape} and {b.shape} do not fit together")

    y = np.zeros((*batch, rows.shape[-2], columns.shape[-1]), np.result_type(a, b))
    for index in np.ndindex(batch):
        for i in range(y.shape[-2]):
            for j in range(y.shape[-1]):
                for k in range(rows.shape[-1]):
                    y[(*index, i, j)] += rows[(*index, i, k)] * columns[(*index, k, j)]

    added = [axis for axis, array in ((-2, a), (-1, b)) if array.ndim == 1]
    return y.squeeze(tuple(added))


@in_double
def einsum(equation: str, *operands: np.ndarray) -> np.ndarray:
    """Each letter is a loop: what `->` names stays, the others are summed. "ij,jk->ik" is matmul.

    Without "...", and without broadcasting.
    """
    left, right = equation.split("->")
    terms = left.split(",")
    sizes = {n: size for term, x in zip(terms, operands, strict=True)
             for n, size in zip(term, x.shape, strict=True)}
    y = np.zeros([sizes[n] for n in right])
    for index in np.ndindex(*sizes.values()):
        at = dict(zip(sizes, index, strict=True))
        y[tuple(at[n] for n in right)] += math.prod(
            x[tuple(at[n] for n in term)] for term, x in zip(terms, operands, strict=True)
        )
    return y


@in_double
def linear(x: np.ndarray, w: np.ndarray, b: np.ndarray | None = None) -> np.ndarray:
    """y = x w^T + b, with x (..., C), w (O, C), b (O,) or None, y (..., O)."""
    y = matmul(x, w.T)
    return y if b is None else y + b
