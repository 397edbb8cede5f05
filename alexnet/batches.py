"""From the uint8 images of a data set to the float batches that a network takes.

The order of an epoch and the changes that augmentation makes to a batch depend on (seed, epoch,
first image of the batch) and on nothing else, so that a run can stop anywhere and go on with the
same batches.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from alexnet import transforms
from alexnet.datasets import Splits
from alexnet.transforms import Level
from minigrad import Tensor
from minigrad.utils.data import DataLoader, Dataset


class Preparation:
    """How an image becomes what the network sees, in every command: resized, scaled, centred."""

    def __init__(self, mean: Level, std: Level, resize: int | None = None) -> None:
        self.mean, self.std, self.resize = mean, std, resize

    def augment(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """What else the images might have looked like, before they are prepared."""
        return transforms.augment_batch(images, rng)

    def __call__(self, images: np.ndarray) -> Tensor:
        """uint8 (N, H, W) to float32 (N, 1, S, S), or (N, S, S, C) to (N, C, S, S)."""
        if self.resize is not None and images.shape[1:3] != (self.resize, self.resize):
            images = transforms.resize_batch(images, (self.resize, self.resize))
        return Tensor(transforms.normalize_batch(images, self.mean, self.std))


class TrainingBatches(Dataset):
    """The training images in batches, in a new order each epoch."""

    def __init__(
        self, data: Splits, prepare: Preparation, batch_size: int, augment: bool, seed: int
    ) -> None:
        self.images, self.labels = data.train_images, data.train_labels
        self.prepare, self.batch_size, self.augment, self.seed = prepare, batch_size, augment, seed
        self.epoch = 0

    def steps(self) -> int:
        """Batches an epoch; the last may be smaller."""
        return -(-len(self.labels) // self.batch_size)

    def of_epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of an epoch from step `start` on: images (N, 1, S, S) and labels (N,).

        Enlarging images takes long enough to be worth a thread that works ahead.
        """
        self.epoch = epoch
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.labels))
        workers = int(self.prepare.resize is not None)
        sampler: Any = order[start * self.batch_size :]
        return iter(DataLoader(self, self.batch_size, sampler=sampler, num_workers=workers))

    def get_batch(self, indices: np.ndarray) -> tuple[Tensor, Tensor]:
        images = self.images[indices]
        if self.augment:
            rng = np.random.default_rng([self.seed, self.epoch, int(indices[0]) + 1])
            images = self.prepare.augment(images, rng)
        return self.prepare(images), Tensor(self.labels[indices])

    def __len__(self) -> int:
        return len(self.labels)
