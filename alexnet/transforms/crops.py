"""What the 2012 paper did to its pictures: crops of them, five or ten for a test, and colour noise.

For one image, `FiveCrop` and `TenCrop` are torchvision's; `Lighting` is what others call PCA noise
or FancyPCA. `crop_batch` is for the training loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from alexnet.transforms.image import generator, like, on_planes, pair

PLACES = ((0, 0), (0, 1), (1, 0), (1, 1), (0.5, 0.5))  # down and across, of the room there is
BLOCK = 100  # images whose pixels are float64 at a time


class FiveCrop:
    """The corners of an image and its middle, each of `size` (H, W).

    Returns a tuple: top left, top right, bottom left, bottom right, centre.

    Raises:
        ValueError: the image is smaller than `size`.
    """

    def __init__(self, size: int | Sequence[int]) -> None:
        self.size = pair(size, type(self).__name__)

    def __call__(self, image: Any) -> tuple[Any, ...]:
        return tuple(on_planes(image, partial(self._crop, at)) for at in PLACES)

    def _crop(self, at: tuple[float, float], planes: np.ndarray) -> np.ndarray:
        (h, w), (oh, ow), (down, across) = planes.shape[-2:], self.size, at
        if h < oh or w < ow:
            raise ValueError(
                f"[{type(self).__name__}] size {self.size} is larger than the image ({h}, {w})"
            )
        top, left = round((h - oh) * down), round((w - ow) * across)
        return planes[..., top : top + oh, left : left + ow]

    def __repr__(self) -> str:
        return f"FiveCrop(size={self.size})"


class TenCrop(FiveCrop):
    """The five crops of an image, then those of its mirror image, as a tuple.

    It is mirrored left to right, or with `vertical_flip` upside down.

    Raises:
        ValueError: the image is smaller than `size`.
    """

    def __init__(self, size: int | Sequence[int], vertical_flip: bool = False) -> None:
        super().__init__(size)
        self.vertical_flip = vertical_flip

    def __call__(self, image: Any) -> tuple[Any, ...]:
        rows, columns = (-1, 1) if self.vertical_flip else (1, -1)
        mirrored = on_planes(image, lambda planes: planes[..., ::rows, ::columns])
        return super().__call__(image) + super().__call__(mirrored)

    def __repr__(self) -> str:
        return f"TenCrop(size={self.size}, vertical_flip={self.vertical_flip})"


class Lighting:
    """Another light on each image: the same random colour is added to all its pixels,

        sum over i of  alpha_i * eigval_i * eigvec[:, i],    alpha_i ~ N(0, alphastd)

    where eigval (C,) and eigvec (C, C) are those of the covariance of the channels over all pixels
    of the training set, for pixels in 0..1: `Lighting.of` computes them. With one channel the only
    eigenvector is 1 and its eigenvalue the variance of the pixels: the noise is one of brightness.

    Images are float Tensors or arrays (..., C, H, W) in 0..1, before they are normalised.

    Raises:
        TypeError: the image is not of a floating type.
        ValueError: it has another number of channels.

    Source: Krizhevsky, Sutskever, Hinton (2012), section 4.1. The paper does not say in which units
    its pixels were; in 0..255 the same formula would make noise larger than the image.
    """

    def __init__(self, alphastd: float, eigval: Any, eigvec: Any) -> None:
        self.alphastd = alphastd
        self.eigval, self.eigvec = np.asarray(eigval, float), np.asarray(eigvec, float)

    @classmethod
    def of(cls, images: np.ndarray, alphastd: float = 0.1) -> Lighting:
        """The noise for uint8 images (N, H, W) or (N, C, H, W) like these."""
        planes = images[:, None] if images.ndim == 3 else images
        channels, count = planes.shape[1], planes.size // planes.shape[1]
        sums, products = np.zeros(channels), np.zeros((channels, channels))
        for start in range(0, len(planes), BLOCK):
            x = np.moveaxis(planes[start : start + BLOCK], 1, 0).reshape(channels, -1) / 255
            sums += x.sum(axis=1)
            products += x @ x.T
        mean = sums / count
        eigval, eigvec = np.linalg.eigh(products / count - np.outer(mean, mean))
        return cls(alphastd, eigval[::-1], eigvec[:, ::-1])  # the largest first

    def colours(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """What is added to each of `count` images: float32 (count, C, 1, 1)."""
        alpha = rng.normal(0, self.alphastd, (count, len(self.eigval)))
        return ((alpha * self.eigval) @ self.eigvec.T).astype(np.float32)[:, :, None, None]

    def __call__(self, image: Any) -> Any:
        array = image if isinstance(image, np.ndarray) else image.numpy()
        if array.dtype.kind != "f":
            raise TypeError(
                f"[Lighting] expected a float image, got {array.dtype}; use ToTensor() before it"
            )
        if array.ndim < 3 or array.shape[-3] != len(self.eigval):
            raise ValueError(
                f"[Lighting] expected an image (..., C, H, W) of {len(self.eigval)} channels, got "
                f"shape {array.shape}"
            )
        return like(array + self.colours(1, generator())[0].astype(array.dtype), image)

    def __repr__(self) -> str:
        return f"Lighting(alphastd={self.alphastd}, eigval={self.eigval.tolist()})"


def crop_batch(images: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    """A window of side x side at a random place in each image.

    images (N, C, H, W) of any type; returns a new array. All draws for the batch are made at once.
    """
    n, c, h, w = images.shape
    out = np.empty((n, c, side, side), images.dtype)
    tops, lefts = draw_corners(n, h - side, w - side, rng)
    for window, image, top, left in zip(out, images, tops, lefts, strict=True):
        window[...] = image[:, top : top + side, left : left + side]
    return out


def draw_corners(
    count: int, down: int, across: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The tops and lefts of `count` windows that can move so far `down` and `across`."""
    return rng.integers(down + 1, size=count), rng.integers(across + 1, size=count)
