"""Getting images ready for a network: torchvision's transforms, and the same for whole batches.

The classes work on one image at a time, as PyTorch listings do; what is random draws from
minigrad's own generator, so that `manual_seed` covers it. The functions at the end are what the
training loop uses: `augment_batch`, `resize_batch` and `normalize_batch` take arrays (N, H, W) or
(N, C, H, W). Next: `train.py`, which uses them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

Level = float | Sequence[float] | np.ndarray  # of brightness: of all channels, or one for each

# ------------------------------------------------------------------------------ one image at a time


class Compose:
    """Apply transforms one after another."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms = list(transforms)

    def __call__(self, image: Any) -> Any:
        for transform in self.transforms:
            image = transform(image)
        return image

    def __repr__(self) -> str:
        return "Compose(\n" + "".join(f"    {transform}\n" for transform in self.transforms) + ")"


class Lambda:
    """Apply any function."""

    def __init__(self, lambd: Callable[[Any], Any]) -> None:
        if not callable(lambd):
            raise TypeError(f"[Lambda] expected a function, got {type(lambd).__name__}")
        self.lambd = lambd

    def __call__(self, image: Any) -> Any:
        return self.lambd(image)

    def __repr__(self) -> str:
        return "Lambda()"


class ToTensor:
    """A PIL image or an array, H W or H W C, to a Tensor (C, H, W).

    uint8 becomes float32 in 0..1; arrays of other types keep type and values, as in torchvision.
    """

    def __call__(self, image: Any) -> Any:
        from minigrad import Tensor

        array = np.asarray(image)
        if _is_pil(image) and array.dtype == bool:  # black and white
            array = array.astype(np.uint8) * np.uint8(255)
        if array.ndim not in (2, 3):
            raise ValueError(
                f"[ToTensor] expected an image (H, W) or (H, W, C), got shape {array.shape}"
            )
        planes = np.ascontiguousarray(np.moveaxis(np.atleast_3d(array), -1, 0))  # (C, H, W)
        if planes.dtype == np.uint8:
            planes = planes.astype(np.float32) / 255
        return Tensor(planes)

    def __repr__(self) -> str:
        return "ToTensor()"


class Normalize:
    """`(x - mean) / std` a channel, on a float Tensor or array (..., C, H, W).

    Raises:
        TypeError: the image is not of a floating type.
        ValueError: a `std` is zero, or there are neither 1 nor C of them.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        if any(value == 0 for value in std):
            raise ValueError(f"[Normalize] std must not hold a zero, got {tuple(std)}")
        self.mean, self.std = tuple(mean), tuple(std)

    def __call__(self, image: Any) -> Any:
        array = image if isinstance(image, np.ndarray) else image.numpy()
        if array.dtype.kind != "f":
            raise TypeError(
                f"[Normalize] expected a float image, got {array.dtype}; use ToTensor() before it"
            )
        if array.ndim < 3:
            raise ValueError(f"[Normalize] expected an image (..., C, H, W), got {array.shape}")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, array.shape[-3]):
                raise ValueError(
                    f"[Normalize] {name} has {len(values)} values, but the image has "
                    f"{array.shape[-3]} channels (shape {array.shape})"
                )
        mean = np.array(self.mean, array.dtype)[:, None, None]  # (C, 1, 1)
        std = np.array(self.std, array.dtype)[:, None, None]
        return _like((array - mean) / std, image)

    def __repr__(self) -> str:
        return f"Normalize(mean={self.mean}, std={self.std})"


class Resize:
    """Bilinear with antialiasing; an integer `size` is that of the shorter side, a pair is (H, W).

    For uint8 the result equals Pillow's, bit by bit; float images are resized by the same weights.
    """

    def __init__(self, size: int | Sequence[int]) -> None:
        self.size = size

    def __call__(self, image: Any) -> Any:
        if _is_pil(image):
            oh, ow = _output_size(image.height, image.width, self.size)
            return image.resize((ow, oh), 2)  # 2: PIL.Image.Resampling.BILINEAR
        return _on_planes(image, lambda planes: resize_batch(planes, self.size))

    def __repr__(self) -> str:
        return f"Resize(size={self.size})"


class CenterCrop:
    """The middle `size` (H, W) of an image; one that is smaller is padded with zeros first."""

    def __init__(self, size: int | Sequence[int]) -> None:
        self.size = _pair(size, "CenterCrop")

    def __call__(self, image: Any) -> Any:
        return _on_planes(image, self._crop)

    def _crop(self, planes: np.ndarray) -> np.ndarray:
        oh, ow = self.size
        ph, pw = max(oh - planes.shape[-2], 0), max(ow - planes.shape[-1], 0)
        planes = _pad(planes, pw // 2, ph // 2, (pw + 1) // 2, (ph + 1) // 2)
        h, w = planes.shape[-2:]
        top, left = round((h - oh) / 2), round((w - ow) / 2)
        return planes[..., top : top + oh, left : left + ow]

    def __repr__(self) -> str:
        return f"CenterCrop(size={self.size})"


class RandomCrop:
    """A window of `size` (H, W) at a random place.

    `padding` (one number, (left and right, top and bottom), or (left, top, right, bottom)) lays
    `fill` round the image first.

    Raises:
        ValueError: the padded image is smaller than the window.
    """

    def __init__(
        self, size: int | Sequence[int], padding: int | Sequence[int] | None = None, fill: int = 0
    ) -> None:
        self.size = _pair(size, "RandomCrop")
        padding = 0 if padding is None else padding
        sides = (padding,) if isinstance(padding, int) else tuple(padding)
        if len(sides) not in (1, 2, 4):
            raise ValueError(f"[RandomCrop] padding takes 1, 2 or 4 numbers, got {padding}")
        left, top, right, bottom = (sides * 4)[:4]
        self.padding = (left, top, right, bottom)
        self.fill = fill

    def __call__(self, image: Any) -> Any:
        return _on_planes(image, self._crop)

    def _crop(self, planes: np.ndarray) -> np.ndarray:
        planes = _pad(planes, *self.padding, fill=self.fill)
        (h, w), (oh, ow) = planes.shape[-2:], self.size
        if h < oh or w < ow:
            raise ValueError(
                f"[RandomCrop] size {self.size} is larger than the (padded) image ({h}, {w})"
            )
        rng = _generator()
        top, left = int(rng.integers(h - oh + 1)), int(rng.integers(w - ow + 1))
        return planes[..., top : top + oh, left : left + ow]

    def __repr__(self) -> str:
        return f"RandomCrop(size={self.size}, padding={self.padding})"


class RandomHorizontalFlip:
    """Mirror left and right with probability `p`."""

    def __init__(self, p: float = 0.5) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"[RandomHorizontalFlip] p must lie in 0..1, got {p}")
        self.p = p

    def __call__(self, image: Any) -> Any:
        if _generator().random() < self.p:
            return _on_planes(image, lambda planes: planes[..., ::-1])
        return image

    def __repr__(self) -> str:
        return f"RandomHorizontalFlip(p={self.p})"


def _generator() -> np.random.Generator:
    from minigrad.backend import generator

    return generator("cpu")


def _on_planes(image: Any, change: Callable[[np.ndarray], np.ndarray]) -> Any:
    """Apply `change`, which works on (..., H, W), to a Tensor (..., H, W) or a PIL image or array
    (H, W) or (H, W, C), and return the same kind."""
    if _is_tensor(image):
        return _like(change(image.numpy()), image)
    array = np.asarray(image)
    if array.ndim == 3:
        return _like(np.moveaxis(change(np.moveaxis(array, -1, 0)), 0, -1), image)
    return _like(change(array), image)


def _is_pil(image: Any) -> bool:
    """Without importing Pillow: where nobody has, there is no image of its kind."""
    pillow = sys.modules.get("PIL.Image")
    return pillow is not None and isinstance(image, pillow.Image)


def _is_tensor(image: Any) -> bool:
    from minigrad import Tensor

    return isinstance(image, Tensor)


def _like(array: np.ndarray, image: Any) -> Any:
    """`array` as what `image` was: an array, a Tensor or a PIL image."""
    array = np.ascontiguousarray(array)
    if isinstance(image, np.ndarray):
        return array
    if _is_tensor(image):
        return type(image)(array)
    from PIL import Image

    return Image.fromarray(array)


def _pair(size: int | Sequence[int], name: str) -> tuple[int, int]:
    sides = (size, size) if isinstance(size, int) else tuple(size) * (3 - len(size))
    if len(sides) != 2 or min(sides) < 1:
        raise ValueError(f"[{name}] size must be a positive integer or a pair of them, got {size}")
    return sides[0], sides[1]


def _pad(
    planes: np.ndarray, left: int, top: int, right: int, bottom: int, fill: int = 0
) -> np.ndarray:
    widths = [(0, 0)] * (planes.ndim - 2) + [(top, bottom), (left, right)]
    return np.pad(planes, widths, constant_values=fill)


# ------------------------------------------------------------------------------------ whole batches


def augment_batch(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each image mirrored or not: garments are centred, but face either way.

    images (N, ..., H, W) of any type; returns a new array. All draws for the batch are made at
    once.
    """
    out = images.copy()
    flips = rng.random(len(images)) < 0.5
    out[flips] = out[flips, ..., ::-1]
    return out


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
    oh, ow = _output_size(h, w, size)
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


def _output_size(h: int, w: int, size: int | Sequence[int]) -> tuple[int, int]:
    if not isinstance(size, int):
        return _pair(size, "Resize")
    short, _ = _pair(size, "Resize")
    return (short, int(short * w / h)) if h <= w else (int(short * h / w), short)


from alexnet.crops import FiveCrop, Lighting, TenCrop, crop_batch  # noqa: E402, F401 - uses the above
