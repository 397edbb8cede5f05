"""The length of a vector, in several senses: sums of powers of absolute values, and extremes."""

from __future__ import annotations

import math
from typing import Any

from minigrad import backend, dtypes, kernels
from minigrad.autograd import Function
from minigrad.backend import Array
from minigrad.ops.convert import to
from minigrad.ops.elementwise import abs
from minigrad.ops.rearrange import movedim
from minigrad.ops.reduce import Axes, _axes, _floating, _not_empty, _restore, amax, amin
from minigrad.ops.shape import reshape
from minigrad.tensor import Tensor


class Norm(Function):
    """y = (sum |x_i|^p)^(1/p);  dL/dx_i = g sign(x_i) (|x_i| / y)^(p-1), and 0 at y = 0.

    p = 0 counts what is not zero; its gradient is 0.
    """

    def forward(self, x: Array, *, p: float, axes: Axes, keepdim: bool) -> Array:
        self.p, self.axes = p, axes
        k, xp = kernels.of(x), backend.array_module(x)
        if p == 2:  # the usual ones need no powers
            powers = k.mul(x, x)
        else:
            powers = x != 0 if p == 0 else k.abs(x) if p == 1 else k.pow(k.abs(x), p)
        y = xp.asarray(powers.sum(axis=axes, keepdims=keepdim, dtype=dtypes.accumulator(x.dtype)))
        y = (k.pow(y, 1 / p) if p not in (0, 1) else y).astype(x.dtype, copy=False)
        self.save_for_backward(x, y)
        return y

    def backward(self, g: Array) -> Array:
        x, y = self.saved_tensors
        k, xp, p = kernels.of(g), backend.array_module(g), self.p
        if p == 0:
            return xp.zeros_like(x)
        g, y = _restore(g, x.shape, self.axes), _restore(y, x.shape, self.axes)
        if p == 2:
            return k.mul(x, k.where(y == 0, 0, k.div(g, y)))
        slope = k.sign(x) if p == 1 else k.mul(k.sign(x), k.pow(k.abs(x), p - 1))
        scale = k.where(y == 0, 0, k.div(g, k.pow(y, p - 1)))
        return k.mul(slope if p >= 1 else k.where(x == 0, 0, slope), scale)


class Nuclear(Function):
    """y = the sum of the singular values of each X = U S V^T;  dL/dX = g U V^T."""

    def forward(self, x: Array) -> Array:
        wide = x.astype(dtypes.accumulator(x.dtype), copy=False)
        u, s, vt = backend.array_module(x).linalg.svd(wide, full_matrices=False)
        self.save_for_backward(kernels.of(u).matmul(u, vt).astype(x.dtype, copy=False))
        return s.sum(-1).astype(x.dtype)

    def backward(self, g: Array) -> Array:
        (rotation,) = self.saved_tensors
        return g[..., None, None] * rotation


def norm(
    input: Tensor, p: Any = "fro", dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """The p-norm over `dim`, or of all elements: 2 and "fro" are the length, inf the largest |x|.

    p = "nuc" is the nuclear norm of matrices: the sum of their singular values.

    Raises:
        RuntimeError: the tensor is not floating point, or the largest of nothing is asked for.
        ValueError: p is another string.
    """
    _floating("norm", input)
    x = to(input, dtype)
    axes = _axes("norm", x.ndim, dim)
    if p == "nuc":
        if len(axes) != 2:
            raise RuntimeError(f"[norm] 'nuc' is about 2 dimensions, not {len(axes)}")
        y = Nuclear.apply(movedim(x, axes, (-2, -1)))
        return reshape(y, [1 if i in axes else n for i, n in enumerate(x.shape)]) if keepdim else y
    if isinstance(p, str) and p != "fro":
        raise ValueError(f"[norm] p must be a number, 'fro' or 'nuc', got {p!r}")
    power = 2.0 if p == "fro" else float(p)
    if math.isinf(power):
        _not_empty("norm", x, axes, RuntimeError)
        return (amax if power > 0 else amin)(abs(x), axes, keepdim)
    return Norm.apply(x, p=power, axes=axes, keepdim=keepdim)
