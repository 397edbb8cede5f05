"""What an image may be: a Tensor (..., C, H, W), or a PIL image or an array (H, W) or (H, W, C).

A transform that moves pixels is written for planes (..., H, W) and applied by `on_planes`, which
gives back an image of the same kind. Next: `geometry.py`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Range = float | Sequence[float]  # a number, which is a distance from the middle, or a pair


def generator() -> np.random.Generator:
    """What all transforms draw from: the engine's generator, which `manual_seed` seeds."""
    from minigrad.backend import generator

    return generator("cpu")


def on_planes(image: Any, change: Callable[[np.ndarray], np.ndarray]) -> Any:
    """Apply `change`, which works on (..., H, W), to a Tensor (..., H, W) or a PIL image or array
    (H, W) or (H, W, C), and return the same kind."""
    if is_tensor(image):
        return like(change(image.numpy()), image)
    array = np.asarray(image)
    if array.ndim == 3:
        return like(np.moveaxis(change(np.moveaxis(array, -1, 0)), 0, -1), image)
    return like(change(array), image)


def is_pil(image: Any) -> bool:
    """Without importing Pillow: where nobody has, there is no image of its kind."""
    pillow = sys.modules.get("PIL.Image")
    return pillow is not None and isinstance(image, pillow.Image)


def is_tensor(image: Any) -> bool:
    from minigrad import Tensor

    return isinstance(image, Tensor)


def like(array: np.ndarray, image: Any) -> Any:
    """`array` as what `image` was: an array, a Tensor or a PIL image."""
    array = np.ascontiguousarray(array)
    if isinstance(image, np.ndarray):
        return array
    if is_tensor(image):
        return type(image)(array)
    from PIL import Image

    return Image.fromarray(array)


def pair(size: int | Sequence[int], name: str) -> tuple[int, int]:
    """(H, W) of a size that may be one number for both; `name` is who asks."""
    sides = (size, size) if isinstance(size, int) else tuple(size) * (3 - len(size))
    if len(sides) != 2 or min(sides) < 1:
        raise ValueError(f"[{name}] size must be a positive integer or a pair of them, got {size}")
    return sides[0], sides[1]


def pad(
    planes: np.ndarray, left: int, top: int, right: int, bottom: int, fill: int = 0,
    mode: Any = "constant",
) -> np.ndarray:
    """Planes (..., H, W) with pixels laid round them: `fill`, or what another `mode` repeats."""
    widths = [(0, 0)] * (planes.ndim - 2) + [(top, bottom), (left, right)]
    return np.pad(planes, widths, mode, **({"constant_values": fill} if mode == "constant" else {}))


def span(
    name: str, value: Range, center: float = 1, low: float = 0, high: float = math.inf
) -> tuple[float, float] | None:
    """What a number or a pair stands for; None where nothing changes."""
    if isinstance(value, (int, float)):
        if value < 0:
            raise ValueError(f"If {name} is a single number, it must be non negative, got {value}")
        first, last = center - value, center + value
        value = (max(first, 0.0) if center else first, last)
    first, last = value
    if not low <= first <= last <= high:
        raise ValueError(f"{name} values should be between {low} and {high}, in order, got {value}")
    return None if first == last == center else (float(first), float(last))


def only_pil(image: Any, name: str, others: str = "") -> None:
    """Raises TypeError where `name` got something else than a PIL image."""
    if not is_pil(image):
        raise TypeError(
            f"[{name}] expected a PIL image{others}, got {type(image).__name__}; use it before "
            "ToTensor()"
        )
