"""Dropout of whole channels: neighbours in an image are too alike for one to stand without others.

Dropout of single elements, and what it is about: `ops/dropout.py`.
"""

from __future__ import annotations

from minigrad import ops
from minigrad.creation import ones
from minigrad.kernels.geometry import ShapeError
from minigrad.tensor import Tensor


def dropout1d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Zero whole channels of (N, C, L) or (C, L), each with probability p, while training."""
    return _channels("dropout1d", input, 1, p, training, inplace)


def dropout2d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Zero whole channels of (N, C, H, W), each with probability p, while training.

    As in PyTorch, an input of 3 dimensions is (N, C, L): its second dimension holds the channels.
    Source: Tompson et al. (2014), arXiv:1411.4280.
    """
    return _channels("dropout2d", input, 2, p, training, inplace)


def _channels(name: str, x: Tensor, dims: int, p: float, training: bool, inplace: bool) -> Tensor:
    if dims == 1 and x.ndim == 2:
        return _channels(name, x.unsqueeze(0), dims, p, training, False).squeeze(0)
    if x.ndim < 2:
        raise ShapeError(f"[{name}] expects (N, C, ...), got {tuple(x.shape)}")
    like = ones(*x.shape[:2], *[1] * (x.ndim - 2), device=x.device, dtype=x.dtype)
    kept = ops.dropout(like, p, training)  # 1 / (1 - p) or 0
    result = x * kept if training else x
    return x._inplace(result) if inplace else result
