"""Images of another size. Whatever the mode, each pixel is a weighted sum of old ones, and the
weights are products of one number a dimension: resizing is one small matrix a dimension."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad import backend, ops
from minigrad.kernels.geometry import ShapeError, adaptive_windows
from minigrad.ops.reduce import _floating
from minigrad.tensor import Tensor

# The dimensions that each mode resizes; None for any number.
MODES = {"nearest": None, "nearest-exact": None, "area": None, "linear": 1, "bilinear": 2,
         "bicubic": 2, "trilinear": 3}


def interpolate(
    input: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
    align_corners: bool | None = None, recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Resize (N, C, ...) to `size`, or by `scale_factor`, each a number or one a dimension.

    Args:
        mode: "nearest" (PyTorch's, which is half a pixel off), "nearest-exact", "area" (the mean
            over what a new pixel covers), "linear" of sequences, "bilinear" and "bicubic" of
            images, "trilinear" of volumes.
        align_corners: whether the centres of the corner pixels stay where they are; otherwise the
            corners do. Only of the linear and cubic modes.
        recompute_scale_factor: whether to take the factor that the whole sizes have.

    Raises:
        ValueError: not exactly one of size and scale_factor, or a wrong number of them.
        NotImplementedError: a mode that is not for such an input, or antialias.

    Source: PyTorch, `torch.nn.functional.interpolate`.
    """
    dims = input.ndim - 2
    if mode not in MODES or dims < 1 or MODES[mode] not in (None, dims):
        raise NotImplementedError(
            f"[interpolate] mode {mode!r} is not for an input {tuple(input.shape)}: there are "
            f"{', '.join(MODES)}"
        )
    if not mode.startswith("nearest"):
        _floating("interpolate", input)
    if antialias:
        raise NotImplementedError("[interpolate] antialias=True does not exist here")
    if align_corners is not None and MODES[mode] is None:
        raise ValueError(f"[interpolate] align_corners is not an option of mode {mode!r}")
    if (size is None) == (scale_factor is None):
        raise ValueError("[interpolate] expects either size or scale_factor")
    sizes, factors = (_each(value, dims) for value in (size, scale_factor))
    for i, n in enumerate(input.shape[2:]):
        out = sizes[i] if factors[i] is None else math.floor(n * factors[i])
        if n < 1 or out < 1:
            raise ValueError(f"[interpolate] a size of {n} cannot become {out}: both must be > 0")
        kept = factors[i] is not None and not recompute_scale_factor
        input = _along(input, i + 2, out, 1 / factors[i] if kept else n / out, mode, align_corners)
    return input


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """Channels become pixels: (..., C r r, H, W) -> (..., C, H r, W r), r the upscale_factor.

    Source: Shi et al. (2016), arXiv:1609.05158.
    """
    r = upscale_factor
    if r < 1 or input.ndim < 3 or input.shape[-3] % (r * r):
        raise ShapeError(
            f"[pixel_shuffle] expects (..., C*r*r, H, W) with r={r}, got {tuple(input.shape)}"
        )
    *batch, channels, h, w = input.shape
    x = input.reshape(math.prod(batch), channels // (r * r), r, r, h, w)
    return x.permute(0, 1, 4, 2, 5, 3).reshape(*batch, channels // (r * r), h * r, w * r)


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """Pixels become channels, as they were before `pixel_shuffle` by the same factor."""
    r = downscale_factor
    if r < 1 or input.ndim < 3 or input.shape[-2] % r or input.shape[-1] % r:
        raise ShapeError(
            f"[pixel_unshuffle] expects (..., C, H*r, W*r) with r={r}, got {tuple(input.shape)}"
        )
    *batch, channels, h, w = input.shape
    x = input.reshape(math.prod(batch), channels, h // r, r, w // r, r)
    return x.permute(0, 1, 3, 5, 2, 4).reshape(*batch, channels * r * r, h // r, w // r)


def _each(value: Any, dims: int) -> tuple[Any, ...]:
    if not isinstance(value, (tuple, list)):
        return (value,) * dims
    if len(value) != dims:
        raise ValueError(f"[interpolate] expects one number or {dims}, got {tuple(value)}")
    return tuple(value)


def _along(
    x: Tensor, axis: int, out: int, step: float, mode: str, align_corners: bool | None
) -> Tensor:
    """Resize one dimension; `step` is how many old pixels wide a new one is."""
    n = x.shape[axis]
    if mode.startswith("nearest"):
        shift = 0.5 if mode == "nearest-exact" else 0.0
        nearest = np.floor((np.arange(out, dtype=np.float32) + shift) * np.float32(step))
        places = np.minimum(nearest.astype(np.int64), n - 1)
        times = out // n
        if times and np.array_equal(places, np.arange(out) // times):  # each as often: no indices
            shape = (*x.shape[: axis + 1], times, *x.shape[axis + 1 :])
            return ops.expand(ops.unsqueeze(x, axis + 1), shape).flatten(axis, axis + 1)
        return x[(slice(None),) * axis + (backend.to_device(places, x.device),)]
    if mode == "area":
        w = np.zeros((out, n))
        for row, (start, stop) in zip(w, adaptive_windows(n, out), strict=True):
            row[start:stop] = 1 / (stop - start)
    else:
        w = _weights(n, out, step, mode == "bicubic", bool(align_corners))
    turned = Tensor(backend.to_device(w.T.astype(x.dtype), x.device))  # (n, out)
    y = ops.matmul(ops.transpose(x, axis, -1), turned)
    return ops.transpose(y, axis, -1)


def _weights(n: int, out: int, step: float, cubic: bool, align_corners: bool) -> np.ndarray:
    """(out, n): how much of each old pixel is in each new one."""
    i = np.arange(out)
    place = i * ((n - 1) / max(out - 1, 1)) if align_corners else (i + 0.5) * step - 0.5
    if not cubic:
        place = np.maximum(place, 0)
    first = np.floor(place)
    w = np.zeros((out, n))
    for tap in (-1, 0, 1, 2) if cubic else (0, 1):
        old = np.clip(first + tap, 0, n - 1).astype(int)
        distance = np.abs(place - first - tap)
        np.add.at(w, (i, old), _cubic(distance) if cubic else 1 - distance)
    return w


def _cubic(d: np.ndarray) -> np.ndarray:
    """Keys' kernel (1981) with a = -3/4, of a distance between 0 and 2."""
    a = -0.75
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    return np.where(d <= 1, near, ((a * d - 5 * a) * d + 8 * a) * d - 4 * a)
