"""From the uint8 images of a data set to the float batches that a network takes.

The order of an epoch and the changes that augmentation makes to a batch depend on (seed, epoch,
first image of the batch) and on nothing else, so that a run can stop anywhere and go on with the
same batches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Self

import numpy as np

from alexnet import transforms
from alexnet.config import Config
from alexnet.datasets import Splits
from alexnet.errors import InputError
from alexnet.transforms import CenterCrop, Lighting, TenCrop, crop_batch
from alexnet.transforms.batches import Level, draw_mirrored, of_channels
from alexnet.transforms.crops import PLACES, draw_corners
from minigrad import Tensor
from minigrad.utils.data import DataLoader, Dataset


class Preparation:
    """How an image becomes what the network sees, in every command: resized, scaled, centred.

    Args:
        mean: what is subtracted from pixels in 0..1: a number, one a channel, or an image (H, W)
            of the same size.
        std: what the rest is divided by: a number, or one a channel.
        resize: the side S of the images that the network sees; None: as they are.
        crop_from: the shorter side is made that long, and what lies outside the middle square is
            cut off. Of the whole that is left, the network sees crops of S x S: random ones in
            training, the middle in a test.
        ten_crop: a trained network is tested on ten of them, see `views`.

    Raises:
        InputError: ten crops were asked for, and there is nothing to crop them from.
    """

    def __init__(
        self, mean: Level, std: Level, resize: int | None = None, crop_from: int | None = None,
        ten_crop: bool = False,
    ) -> None:  # fmt: skip
        if ten_crop and crop_from is None:
            raise InputError("--ten-crop needs images that are larger than crops: add --crop-from")
        self.mean, self.std = np.asarray(mean), std
        self.resize, self.crop_from, self.ten_crop = resize, crop_from, ten_crop

    @classmethod
    def of(cls, config: Config, data: Splits) -> Self:
        """That of a run. The mean image is that of the images it trains on.

        Raises:
            InputError: settings that contradict each other.
        """
        side = config.resize or data.train_images.shape[1]
        if config.crop_from is not None and config.crop_from < side:
            raise InputError(
                f"--crop-from {config.crop_from}: there are no crops of {side} x {side} in images "
                f"that small; give at least {side}, or a smaller --resize"
            )
        mean, std = {
            "standard": lambda: (data.mean, data.std),
            "unit": lambda: (0.0, 1.0),
            "mean-image": lambda: (np.round(data.train_images.mean(axis=0) / 255, 6), 1 / 255),
        }[config.normalize]()
        return cls(mean, std, config.resize, config.crop_from, config.ten_crop)

    @classmethod
    def from_json(cls, about: Mapping[str, Any]) -> Self:
        """That which a weights file describes, which may be older than crops."""
        crops = about.get("crop_from"), about.get("ten_crop", False)
        return cls(about["mean"], about["std"], about["resize"], *crops)

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "mean": self.mean.tolist()}

    def whole(self, images: np.ndarray) -> np.ndarray:
        """uint8 (N, H, W) to float32 (N, 1, R, R), of which crops may be taken; colour pictures
        (N, H, W, C) to (N, C, R, R)."""
        planes = images if images.ndim == 3 else np.moveaxis(images, -1, 1)
        return transforms.normalize_batch(self._scaled(planes), self.whole_mean(), self.std)

    def whole_mean(self) -> np.ndarray:
        """What is subtracted from the whole: (), (C,) or (R, R)."""
        return self._scaled(self.mean) if self.mean.ndim == 2 else self.mean

    def _scaled(self, planes: np.ndarray) -> np.ndarray:  # (..., H, W) -> (..., R, R)
        if self.crop_from is not None:
            planes = transforms.resize_batch(planes, self.crop_from)
            return CenterCrop(self.crop_from)(Tensor(planes)).numpy()
        if self.resize is not None:
            return transforms.resize_batch(planes, (self.resize, self.resize))
        return planes

    def side(self, images: np.ndarray) -> int:
        """S: how large the network sees images (N, H, W) or (N, H, W, C)."""
        return self.resize or images.shape[1]

    def __call__(self, images: np.ndarray) -> Tensor:
        """uint8 (N, H, W) to float32 (N, 1, S, S), (N, H, W, C) to (N, C, S, S)."""
        whole = Tensor(self.whole(images))
        return whole if self.crop_from is None else CenterCrop(self.side(images))(whole)

    def views(self, images: np.ndarray) -> tuple[Tensor, ...]:
        """What a trained network is shown of images: the middle, or if `ten_crop` the corners and
        the middle, and their mirror images; float32 (N, C, S, S) each."""
        if not self.ten_crop:
            return (self(images),)
        return TenCrop(self.side(images))(Tensor(self.whole(images)))

    def places(self, side: int) -> list[tuple[bool, int, int]]:
        """Where the ten crops of `views` are: mirrored or not, top, left. The fifth is the middle,
        which is all that is shown without `ten_crop`."""
        room = (self.crop_from or side) - side
        return [
            (mirrored, round(room * down), round(room * across))
            for mirrored in (False, True)
            for down, across in PLACES
        ]


class Draw(NamedTuple):
    """The changes of a batch: which images are mirrored (N,), tops and lefts of crops (N, 2), and
    the colours added at the end (N, C, 1, 1); None for what is not done."""

    mirrored: np.ndarray | None
    corners: np.ndarray | None
    light: np.ndarray | None


class TrainingBatches(Dataset):
    """The training images in batches, in a new order each epoch."""

    def __init__(
        self, data: Splits, prepare: Preparation, batch_size: int, augment: bool, seed: int,
        lighting: float = 0.0,
    ) -> None:  # fmt: skip
        self.images, self.labels = data.train_images, data.train_labels
        self.prepare, self.batch_size, self.augment, self.seed = prepare, batch_size, augment, seed
        self.lighting = Lighting.of(self.images, lighting) if lighting else None
        self.epoch = 0

    def steps(self) -> int:
        """Batches an epoch; the last may be smaller."""
        return -(-len(self.labels) // self.batch_size)

    def of_epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of an epoch from step `start` on: images (N, C, S, S) and labels (N,).

        Enlarging images takes long enough to be worth a thread that works ahead.
        """
        self.epoch = epoch
        order = self.order(epoch)
        workers = int((self.prepare.crop_from or self.prepare.resize) is not None)
        sampler: Any = order[start * self.batch_size :]
        return iter(DataLoader(self, self.batch_size, sampler=sampler, num_workers=workers))

    def order(self, epoch: int) -> np.ndarray:
        """All images in the order of an epoch."""
        return np.random.default_rng([self.seed, epoch]).permutation(len(self.labels))

    def draw(self, epoch: int, indices: np.ndarray) -> Draw:
        """What `get_batch` draws for the batch of these images, in the same order."""
        rng, n = self.rng(epoch, indices), len(indices)
        mirrored = corners = light = None
        if self.augment:
            mirrored = draw_mirrored(n, rng)
        if self.prepare.crop_from is not None:
            room = self.prepare.crop_from - self.prepare.side(self.images)
            corners = np.stack(draw_corners(n, room, room, rng), axis=1)
        if self.lighting is not None:
            light = self.lighting.colours(n, rng) / of_channels(self.prepare.std)
        return Draw(mirrored, corners, light)

    def rng(self, epoch: int, indices: np.ndarray) -> np.random.Generator:
        return np.random.default_rng([self.seed, epoch, int(indices[0]) + 1])

    def get_batch(self, indices: np.ndarray) -> tuple[Tensor, Tensor]:
        rng = self.rng(self.epoch, indices)
        x = self.prepare.whole(self.images[indices])  # (N, C, R, R)
        if self.augment:
            x = transforms.augment_batch(x, rng)
        if self.prepare.crop_from is not None:
            x = crop_batch(x, self.prepare.side(self.images), rng)
        if self.lighting is not None:
            x += self.lighting.colours(len(x), rng) / of_channels(self.prepare.std)
        return Tensor(x), Tensor(self.labels[indices])

    def __len__(self) -> int:
        return len(self.labels)
