"""Picture files of any kind, opened as if they came from a stranger.

Pillow decodes them and is imported where it is used. What it only warns of, a small file that would
unfold into gigabytes, is an error here. Two ways to read a file: `pil_loader` does what torchvision
does, `read` what a person would call the picture. Next: `folders.py`, for pictures in folders.
"""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from alexnet.errors import InputError

FilePath = str | os.PathLike[str]

_filters = threading.Lock()  # what is to become of warnings is a setting of the whole process


class Unreadable(InputError):
    """A file that is no picture, or none that can be used; `reason` says why, without the file."""

    def __init__(self, path: FilePath, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.reason = reason


@contextmanager
def opened(path: FilePath) -> Iterator[Any]:
    """The file as a PIL image, to be decoded inside the block.

    Raises:
        PIL.Image.DecompressionBombError: it has more than PIL.Image.MAX_IMAGE_PIXELS pixels; Pillow
            itself would only warn, up to twice as many.
    """
    from PIL import Image

    try:
        with _filters, warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as file:
                yield file
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Image.DecompressionBombError(
            f"{path}: the picture is too large to be opened safely: more than "
            f"{Image.MAX_IMAGE_PIXELS:,} pixels"
        ) from None


def pil_loader(path: FilePath) -> Any:
    """torchvision's loader: the file as a PIL image of mode RGB. Raises what Pillow raises, and as
    `opened`."""
    with opened(path) as file:
        return file.convert("RGB")


def read(path: FilePath, mode: str = "RGB") -> Any:
    """The picture as a PIL image of `mode` ("RGB" or "L"): upright, and 8 bits deep.

    Unlike `pil_loader`, it heeds how the camera was held (EXIF), lays what is transparent on white
    and brings 16 bits to 8.

    Raises:
        Unreadable: no such file, no picture, a damaged one, or one so large that it may be an
            attack.
    """
    with readable(path) as picture:
        return flattened(picture).convert(mode)


@contextmanager
def readable(path: FilePath) -> Iterator[Any]:
    """The picture, upright, to be used inside the block. Raises as `read`."""
    from PIL import Image, ImageOps

    try:
        with opened(path) as file:
            warnings.simplefilter("ignore", UserWarning)  # of odd but harmless metadata
            yield ImageOps.exif_transpose(file)
    except FileNotFoundError:
        raise Unreadable(path, "there is no such file") from None
    except Image.DecompressionBombError:
        raise Unreadable(path, "the picture is too large to be opened safely") from None
    except Exception as error:  # Pillow's decoders raise almost anything on a damaged file
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise Unreadable(path, f"not a picture that can be read ({said})") from None


def flattened(image: Any) -> Any:
    """8 bits a channel, and what is transparent as white paper, as in a shop's pictures."""
    from PIL import Image

    if image.mode[0] in "IF":  # deeper than 8 bits: Pillow would clip, so the brightest is white
        deep = np.asarray(image, np.float64)
        return Image.fromarray((deep * (255 / max(deep.max(), 1e-9))).clip(0, 255).astype(np.uint8))
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image
