"""From a picture to numbers of the right size, and back; and one transform after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from alexnet.transforms.image import is_pil, is_tensor, like


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
        if is_pil(image) and array.dtype == bool:  # black and white
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

    `mean` and `std` are numbers, or sequences of one a channel. `inplace` is accepted, without
    effect.

    Raises:
        TypeError: the image is not of a floating type.
        ValueError: a `std` is zero, or there are neither 1 nor C of them.
    """

    def __init__(self, mean: Any, std: Any, inplace: bool = False) -> None:
        if not np.all(std):
            raise ValueError(f"[Normalize] std must not hold a zero, got {std}")
        self.mean, self.std = mean, std

    def __call__(self, image: Any) -> Any:
        array = image if isinstance(image, np.ndarray) else image.numpy()
        if array.dtype.kind != "f":
            raise TypeError(
                f"[Normalize] expected a float image, got {array.dtype}; use ToTensor() before it"
            )
        if array.ndim < 3:
            raise ValueError(f"[Normalize] expected an image (..., C, H, W), got {array.shape}")
        mean, std = (np.atleast_1d(values).astype(array.dtype) for values in (self.mean, self.std))
        for name, values in (("mean", mean), ("std", std)):
            if len(values) not in (1, array.shape[-3]):
                raise ValueError(
                    f"[Normalize] {name} has {len(values)} values, but the image has "
                    f"{array.shape[-3]} channels (shape {array.shape})"
                )
        mean, std = mean[:, None, None], std[:, None, None]  # (C, 1, 1)
        return like((array - mean) / std, image)

    def __repr__(self) -> str:
        return f"Normalize(mean={self.mean}, std={self.std})"


class ToPILImage:
    """A Tensor (C, H, W) or (H, W), or an array (H, W, C) or (H, W), to a PIL image.

    Bytes stay what they are; floats, taken to lie in 0..1, become bytes, rounded down. Floats of
    an array are its pixels themselves, in Pillow's mode F.
    """

    def __init__(self, mode: str | None = None) -> None:
        self.mode = mode

    def __call__(self, image: Any) -> Any:
        from PIL import Image

        array = image.numpy() if is_tensor(image) else np.asarray(image)
        if is_tensor(image):
            if array.dtype.kind == "f":
                array = (array * 255).astype(np.uint8)
            array = np.moveaxis(array, 0, -1) if array.ndim == 3 else array
        if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[-1] not in (1, 2, 3, 4)):
            raise ValueError(
                f"[ToPILImage] expected one image of 1 to 4 channels, got {tuple(image.shape)}"
            )
        array = array[:, :, 0] if array.shape[2:] == (1,) else array
        made = Image.fromarray(np.ascontiguousarray(array))
        return made if self.mode in (None, made.mode) else made.convert(self.mode)

    def __repr__(self) -> str:
        return "ToPILImage()" if self.mode is None else f"ToPILImage(mode={self.mode})"
