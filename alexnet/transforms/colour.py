"""Transforms that change colours. Pictures are left to Pillow, as in torchvision: equal pixels."""

from __future__ import annotations

from typing import Any

import numpy as np

from alexnet.transforms.image import Range, generator, is_tensor, like, only_pil, span


class ColorJitter:
    """Change brightness, contrast, saturation and hue of a PIL image at random, in random order.

    Each is a number v, for factors from max(0, 1 - v) to 1 + v, or a pair (min, max). Hue is a
    shift instead, from -v to v, where 1 goes once round the circle of colours and v <= 0.5.

    Raises:
        ValueError: a number is negative, or a pair is out of order or out of bounds.
    """

    def __init__(
        self, brightness: Range = 0, contrast: Range = 0, saturation: Range = 0, hue: Range = 0
    ) -> None:
        self.brightness = span("brightness", brightness)
        self.contrast = span("contrast", contrast)
        self.saturation = span("saturation", saturation)
        self.hue = span("hue", hue, center=0, low=-0.5, high=0.5)

    def __call__(self, image: Any) -> Any:
        only_pil(image, "ColorJitter")
        from PIL import ImageEnhance

        rng = generator()
        order = rng.permutation(4)
        ranges = (self.brightness, self.contrast, self.saturation, self.hue)
        factors = [None if r is None else float(rng.uniform(*r)) for r in ranges]
        enhancers = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
        for which in order.tolist():
            factor = factors[which]
            if factor is None:
                continue
            if which == 3:
                image = _shift_hue(image, factor)
            else:
                image = enhancers[which](image).enhance(factor)
        return image

    def __repr__(self) -> str:
        return (
            f"ColorJitter(brightness={self.brightness}, contrast={self.contrast}, "
            f"saturation={self.saturation}, hue={self.hue})"
        )


class Grayscale:
    """Luminance, as one channel or as three equal ones; of a PIL image or a Tensor (..., 3, H, W).

    Tensors are weighted 0.2989, 0.587, 0.114; Pillow's weights differ in the fourth digit.
    """

    def __init__(self, num_output_channels: int = 1) -> None:
        if num_output_channels not in (1, 3):
            raise ValueError(
                f"[Grayscale] num_output_channels must be 1 or 3, got {num_output_channels}"
            )
        self.num_output_channels = num_output_channels

    def __call__(self, image: Any) -> Any:
        if is_tensor(image):
            return like(self._weigh(image.numpy()), image)
        only_pil(image, "Grayscale", " or a Tensor")
        gray = image.convert("L")
        return gray if self.num_output_channels == 1 else gray.convert("RGB")

    def _weigh(self, planes: np.ndarray) -> np.ndarray:
        if planes.ndim < 3 or planes.shape[-3] not in (1, 3):
            raise ValueError(
                f"[Grayscale] expected a Tensor (..., 1 or 3, H, W), got {planes.shape}"
            )
        gray = planes[..., :1, :, :]
        if planes.shape[-3] == 3:
            r, g, b = (planes[..., i : i + 1, :, :] for i in range(3))
            gray = (0.2989 * r + 0.587 * g + 0.114 * b).astype(planes.dtype)
        return np.repeat(gray, self.num_output_channels, axis=-3)

    def __repr__(self) -> str:
        return f"Grayscale(num_output_channels={self.num_output_channels})"


def _shift_hue(image: Any, factor: float) -> Any:
    """The hue of every pixel turned by `factor` of a circle, which a byte goes round in 256."""
    from PIL import Image

    if image.mode in ("L", "1", "I", "F"):
        return image
    hue, saturation, value = image.convert("HSV").split()
    turned = np.asarray(hue) + np.array(int(factor * 255) % 256, np.uint8)  # wraps round
    return Image.merge("HSV", (Image.fromarray(turned), saturation, value)).convert(image.mode)
