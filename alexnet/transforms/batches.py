"""The same for whole batches, without decoding or copying: what the training loop uses.

Arrays are uint8 (N, H, W) or (N, C, H, W). `resize_batch` is Pillow's arithmetic, and `Resize`
uses it as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from alexnet.transforms.image import pair

Level = float | Sequence[float] | np.ndarray  # of brightness: of all channels, or one for each


def augment_batch(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each image mirrored or not: garments are centred, but face either way.

    images (N, ..., H, W) of any type; returns a new array. All draws for the batch are made at
    once.
    """
    out = images.copy()
    flips = draw_mirrored(len(images), rng)
    out[flips] = out[flips, ..., ::-1]
    return out


def draw_mirrored(count: int, rng: np.random.Generator) -> np.ndarray:
    """Which of `count` images to mirror, each with probability 1/2."""
    return rng.random(count) < 0.5


def normalize_batch(images: np.ndarray, mean: Level, std: Level) -> np.ndarray:
    """`(images / 255 - mean) / std`: uint8 (N, H, W) or (N, C, H, W) to float32 (N, C, H, W).

    `mean` may be an image (H, W), too.

    In float32 and in the order of ToTensor and Normalize, so that both ways give the same numbers.
    """
    planes = images[:, None] if images.ndim == 3 else images
    out = planes.astype(np.float32, order="C")  # (N, C, H, W)
    out /= 255
    out -= of_channels(mean)
    out /= of_channels(std)
    return out


def of_channels(level: Level) -> np.ndarray:
    """float32 that fits images (N, C, H, W): (), or (C, 1, 1), or (H, W) as it is."""
    levels = np.asarray(level, np.float32)
    return levels[:, None, None] if levels.ndim == 1 else levels


def resize_batch(images: np.ndarray, size: int | Sequence[int]) -> np.ndarray:
    """Bilinear with antialiasing, Pillow's `resize(..., BILINEAR)`, for images (..., H, W).

    `size` is (OH, OW), or the length of the shorter side. The filter is separable, so an image X
    becomes `V X Hᵀ` with two precomputed matrices of weights. For uint8, Pillow rounds the
    weights to 22 bits and the pixels after each of the two passes; in float64 all these sums are
    exact, so the result is Pillow's to the bit. (From version 13, Pillow takes the vertical pass
    first where the height shrinks much more than the width; there a pixel can differ by one.)
    Float images are resized by the same weights, not rounded. Images of that size already are
    returned as they are.

    Raises:
        TypeError: the images are neither uint8 nor of a floating type.

    Source: Pillow's resampling of 8-bit channels, horizontal pass first, halves rounded up.
    """
    h, w = images.shape[-2:]
    oh, ow = output_size(h, w, size)
    exact = images.dtype == np.uint8
    if not exact and images.dtype.kind != "f":
        raise TypeError(f"[Resize] expected uint8 or float images, got {images.dtype}")
    if (oh, ow) == (h, w):
        return images
    across, down = _weights(w, ow, exact), _weights(h, oh, exact)  # (OW, W), (OH, H)
    out = np.empty((*images.shape[:-2], oh, ow), images.dtype)
    half = 0.5 if exact else 0.0  # rounds, together with the cast to uint8 (nothing is negative)
    for image, result in zip(images.reshape(-1, h, w), out.reshape(-1, oh, ow), strict=True):
        rows = image.astype(np.float64) @ across.T  # (H, OW)
        if exact:
            np.floor(rows + 0.5, out=rows)
        np.add(down @ rows, half, out=result, casting="unsafe")
    return out


@lru_cache(maxsize=32)
def _weights(length: int, out_length: int, exact: bool) -> np.ndarray:
    """The matrix (out_length, length) of a triangle filter, wider where it shrinks."""
    scale = length / out_length
    reach = max(scale, 1.0)
    matrix = np.zeros((out_length, length))
    for row in range(out_length):
        center = (row + 0.5) * scale
        first = max(int(center - reach + 0.5), 0)
        last = min(int(center + reach + 0.5), length)
        distance = (np.arange(first, last) - center + 0.5) * (1 / reach)
        triangle = np.maximum(1 - np.abs(distance), 0)
        total = np.cumsum(triangle)[-1]  # in Pillow's order: the last bit can decide a rounding
        matrix[row, first:last] = triangle * (1 / total)
    return np.floor(matrix * 2**22 + 0.5) / 2**22 if exact else matrix


def taps(length: int, out_length: int, middle: int) -> np.ndarray:
    """What `resize_batch` makes the pixels of, along one dimension, as a table for a kernel.

    int32 (middle, 1 + taps): for each of the `middle` ones of `out_length` pixels the first old
    pixel that is part of it, and their weights in units of 2^-22.
    """
    start = round((out_length - middle) / 2)
    weights = np.rint(_weights(length, out_length, True) * 2**22)[start : start + middle]
    first = (weights != 0).argmax(axis=1)
    last = length - (weights != 0)[:, ::-1].argmax(axis=1)
    table = np.zeros((middle, 1 + (last - first).max()), np.int32)
    for row, begin, end, line in zip(weights, first, last, table, strict=True):
        line[0], line[1 : 1 + end - begin] = begin, row[begin:end]
    return table


def output_size(h: int, w: int, size: int | Sequence[int]) -> tuple[int, int]:
    if not isinstance(size, int):
        return pair(size, "Resize")
    short, _ = pair(size, "Resize")
    return (short, int(short * w / h)) if h <= w else (int(short * h / w), short)
