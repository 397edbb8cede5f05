"""Transforms that move pixels: to another size, place, side or angle."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import Enum
from typing import Any

import numpy as np

from alexnet.transforms.batches import output_size, resize_batch
from alexnet.transforms.image import Range, generator, is_pil, on_planes, only_pil, pad, pair, span


class InterpolationMode(Enum):
    """How a pixel of the result comes from those around it in the image."""

    NEAREST = "nearest"
    LANCZOS = "lanczos"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"

    @property
    def pillow(self) -> int:
        """Pillow's number of it, which listings use as well."""
        return list(InterpolationMode).index(self)

    @classmethod
    def of(cls, mode: Any) -> InterpolationMode:
        """The mode itself, or that of Pillow's number."""
        if isinstance(mode, int) and 0 <= mode < len(cls):
            return list(cls)[mode]
        if not isinstance(mode, cls):
            raise ValueError(f"[InterpolationMode] expected one of {list(cls)}, got {mode!r}")
        return mode


class Resize:
    """Bilinear with antialiasing; an integer `size` is that of the shorter side, a pair is (H, W).

    For uint8 the result equals Pillow's, bit by bit; float images are resized by the same weights.
    PIL images take every `interpolation` that Pillow has, and are always antialiased.

    Raises:
        NotImplementedError: `max_size`; and, for Tensors and arrays, another interpolation than
            bilinear, or none that is antialiased.
    """

    def __init__(
        self, size: int | Sequence[int], interpolation: Any = InterpolationMode.BILINEAR,
        max_size: int | None = None, antialias: bool | None = True,
    ) -> None:
        if max_size is not None:
            raise NotImplementedError("[Resize] max_size is not offered: give both sides as (H, W)")
        self.size, self.antialias = size, antialias
        self.interpolation = InterpolationMode.of(interpolation)

    def __call__(self, image: Any) -> Any:
        if is_pil(image):
            oh, ow = output_size(image.height, image.width, self.size)
            return image.resize((ow, oh), self.interpolation.pillow)
        if self.interpolation is not InterpolationMode.BILINEAR or self.antialias is False:
            raise NotImplementedError(
                f"[Resize] a {type(image).__name__} is resized bilinearly and antialiased only, "
                f"not by {self}: do it on the PIL image, before ToTensor()"
            )
        return on_planes(image, lambda planes: resize_batch(planes, self.size))

    def __repr__(self) -> str:
        return (
            f"Resize(size={self.size}, interpolation={self.interpolation.value}, max_size=None, "
            f"antialias={self.antialias})"
        )


class CenterCrop:
    """The middle `size` (H, W) of an image; one that is smaller is padded with zeros first."""

    def __init__(self, size: int | Sequence[int]) -> None:
        self.size = pair(size, "CenterCrop")

    def __call__(self, image: Any) -> Any:
        return on_planes(image, self._crop)

    def _crop(self, planes: np.ndarray) -> np.ndarray:
        oh, ow = self.size
        ph, pw = max(oh - planes.shape[-2], 0), max(ow - planes.shape[-1], 0)
        planes = pad(planes, pw // 2, ph // 2, (pw + 1) // 2, (ph + 1) // 2)
        h, w = planes.shape[-2:]
        top, left = round((h - oh) / 2), round((w - ow) / 2)
        return planes[..., top : top + oh, left : left + ow]

    def __repr__(self) -> str:
        return f"CenterCrop(size={self.size})"


class RandomCrop:
    """A window of `size` (H, W) at a random place.

    `padding` (one number, (left and right, top and bottom), or (left, top, right, bottom)) lays
    `fill` round the image first, or what `padding_mode` says: "edge", "reflect" or "symmetric".
    `pad_if_needed` does so on both sides of an image that is still too small.

    Raises:
        ValueError: the padded image is smaller than the window.
    """

    def __init__(
        self, size: int | Sequence[int], padding: int | Sequence[int] | None = None,
        pad_if_needed: bool = False, fill: int = 0, padding_mode: str = "constant",
    ) -> None:
        self.size, self.padding = pair(size, "RandomCrop"), padding
        sides = (padding or 0,) if isinstance(padding, int | None) else tuple(padding)
        if len(sides) not in (1, 2, 4):
            raise ValueError(f"[RandomCrop] padding takes 1, 2 or 4 numbers, got {padding}")
        if padding_mode not in ("constant", "edge", "reflect", "symmetric"):
            raise ValueError(f"[RandomCrop] unknown padding_mode {padding_mode!r}")
        self._sides = (sides * 4)[:4]  # left, top, right, bottom
        self.pad_if_needed, self.fill, self.padding_mode = pad_if_needed, fill, padding_mode

    def __call__(self, image: Any) -> Any:
        return on_planes(image, self._crop)

    def _crop(self, planes: np.ndarray) -> np.ndarray:
        planes, (oh, ow) = self._pad(planes, *self._sides), self.size
        if self.pad_if_needed:
            ph, pw = max(oh - planes.shape[-2], 0), max(ow - planes.shape[-1], 0)
            planes = self._pad(planes, pw, ph, pw, ph)
        h, w = planes.shape[-2:]
        if h < oh or w < ow:
            raise ValueError(
                f"[RandomCrop] size {self.size} is larger than the (padded) image ({h}, {w})"
            )
        rng = generator()
        top, left = int(rng.integers(h - oh + 1)), int(rng.integers(w - ow + 1))
        return planes[..., top : top + oh, left : left + ow]

    def _pad(self, planes: np.ndarray, left: int, top: int, right: int, bottom: int) -> np.ndarray:
        return pad(planes, left, top, right, bottom, self.fill, self.padding_mode)

    def __repr__(self) -> str:
        return f"RandomCrop(size={self.size}, padding={self.padding})"


class RandomResizedCrop:
    """A window of random area and aspect, at a random place, resized to `size` (H, W).

    The window has `scale` of the area of the image, and its width is `ratio` times its height. Ten
    windows are tried; if none fits, the largest one in the middle is taken.
    """

    def __init__(
        self, size: int | Sequence[int], scale: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (3 / 4, 4 / 3),
        interpolation: Any = InterpolationMode.BILINEAR, antialias: bool | None = True,
    ) -> None:
        self.size = pair(size, "RandomResizedCrop")
        if scale[0] > scale[1] or ratio[0] > ratio[1]:
            raise ValueError(
                f"[RandomResizedCrop] scale and ratio must be (min, max), got {scale} and {ratio}"
            )
        self.scale, self.ratio = scale, ratio
        self.resize = Resize(self.size, interpolation, antialias=antialias)

    def __call__(self, image: Any) -> Any:
        return self.resize(on_planes(image, self._crop))

    def _crop(self, planes: np.ndarray) -> np.ndarray:
        top, left, h, w = self._window(*planes.shape[-2:])
        return planes[..., top : top + h, left : left + w]

    def _window(self, height: int, width: int) -> tuple[int, int, int, int]:
        """(top, left, height, width) of a window in an image."""
        rng, (low, high) = generator(), self.ratio
        for _ in range(10):
            area = height * width * rng.uniform(self.scale[0], self.scale[1])
            aspect = math.exp(rng.uniform(math.log(low), math.log(high)))
            w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if 0 < w <= width and 0 < h <= height:
                top, left = rng.integers(height - h + 1), rng.integers(width - w + 1)
                return int(top), int(left), h, w
        h, w = min(height, round(width / low)), min(width, round(height * high))
        return (height - h) // 2, (width - w) // 2, h, w

    def __repr__(self) -> str:
        scale, ratio = (tuple(round(v, 4) for v in pair) for pair in (self.scale, self.ratio))
        return (
            f"RandomResizedCrop(size={self.size}, scale={scale}, ratio={ratio}, "
            f"interpolation={self.resize.interpolation.value}, antialias={self.resize.antialias})"
        )


class RandomHorizontalFlip:
    """Mirror left and right with probability `p`."""

    axis = -1

    def __init__(self, p: float = 0.5) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"[{type(self).__name__}] p must lie in 0..1, got {p}")
        self.p = p

    def __call__(self, image: Any) -> Any:
        if generator().random() < self.p:
            return on_planes(image, lambda planes: np.flip(planes, self.axis))
        return image

    def __repr__(self) -> str:
        return f"{type(self).__name__}(p={self.p})"


class RandomVerticalFlip(RandomHorizontalFlip):
    """Mirror top and bottom with probability `p`."""

    axis = -2


class RandomRotation:
    """Turn a PIL image by a random angle, in degrees, counter-clockwise; `fill` the corners.

    `degrees` is a number d, for angles from -d to d, or a pair. `expand` makes the image as large
    as it must be to show all of the turned one; `center` is (x, y).
    """

    def __init__(
        self, degrees: Range, interpolation: Any = InterpolationMode.NEAREST, expand: bool = False,
        center: Sequence[float] | None = None, fill: Any = 0,
    ) -> None:
        self.degrees = list(span("degrees", degrees, center=0, low=-math.inf) or (0.0, 0.0))
        self.interpolation = InterpolationMode.of(interpolation)
        self.expand, self.center, self.fill = expand, center, fill

    def __call__(self, image: Any) -> Any:
        only_pil(image, "RandomRotation")
        angle = float(generator().uniform(self.degrees[0], self.degrees[1]))
        bands = len(image.getbands())
        fill = self.fill if bands == 1 or not isinstance(self.fill, int) else (self.fill,) * bands
        return image.rotate(
            angle, self.interpolation.pillow, self.expand, self.center, fillcolor=fill
        )

    def __repr__(self) -> str:
        return (
            f"RandomRotation(degrees={self.degrees}, interpolation={self.interpolation.value}, "
            f"expand={self.expand}, fill={self.fill})"
        )
