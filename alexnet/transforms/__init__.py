"""Getting images ready for a network: torchvision's transforms, and the same for whole batches.

The classes work on one image at a time, as PyTorch listings do; what is random draws from
minigrad's own generator, so that `manual_seed` covers it. The functions named `..._batch` are
what the training loop uses: they take arrays (N, H, W) or (N, C, H, W). Read `image.py` first: what
an image may be; then `basic.py`, `geometry.py`, `colour.py` and `crops.py`.
"""

from alexnet.transforms.basic import Compose, Lambda, Normalize, ToPILImage, ToTensor
from alexnet.transforms.batches import (
    Level,
    augment_batch,
    normalize_batch,
    of_channels,
    resize_batch,
)
from alexnet.transforms.colour import ColorJitter, Grayscale
from alexnet.transforms.crops import FiveCrop, Lighting, TenCrop, crop_batch
from alexnet.transforms.geometry import (
    CenterCrop,
    InterpolationMode,
    RandomCrop,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomRotation,
    RandomVerticalFlip,
    Resize,
)

__all__ = [
    "CenterCrop",
    "ColorJitter",
    "Compose",
    "FiveCrop",
    "Grayscale",
    "InterpolationMode",
    "Lambda",
    "Level",
    "Lighting",
    "Normalize",
    "RandomCrop",
    "RandomHorizontalFlip",
    "RandomResizedCrop",
    "RandomRotation",
    "RandomVerticalFlip",
    "Resize",
    "TenCrop",
    "ToPILImage",
    "ToTensor",
    "augment_batch",
    "crop_batch",
    "normalize_batch",
    "of_channels",
    "resize_batch",
]
