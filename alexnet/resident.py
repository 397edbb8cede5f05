"""A data set on the GPU: its bytes are moved there once, and batches are made of them there.

What a batch is made of is decided on the CPU, by the same draws as in `batches.py`, for a whole
epoch at once; a kernel does the rest, to the same numbers. It finds its place in the epoch in
device memory, so that a captured graph (`minigrad.cuda.graph`) makes another batch at each launch.
Next: `steps.py`, which trains on them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import minigrad
from alexnet.batches import Preparation, TrainingBatches
from alexnet.transforms.batches import output_size, taps
from minigrad import Tensor
from minigrad.backend import Device


def can_stay(images: Any, prepare: Preparation) -> bool:
    """Whether these images can lie on a GPU: square ones in an array of bytes, all of one size."""
    return (
        type(prepare) is Preparation
        and isinstance(images, np.ndarray)
        and images.dtype == np.uint8
        and images.ndim == 3
        and (prepare.resize is not None or images.shape[1] == images.shape[2])
    )


class Resident:
    """Images uint8 (N, H, W) and their labels (N,) on a GPU.

    `begin` says what is shown of which images in which order, `batch` makes the batch at
    `position`, which whoever asked for it moves on.
    """

    def __init__(
        self, images: np.ndarray, labels: np.ndarray, prepare: Preparation, device: Device
    ) -> None:
        def there(array: Any, dtype: type) -> Tensor:
            return Tensor(np.array(array, dtype, order="C")).to(device)

        self.side = prepare.side(images)
        whole = prepare.crop_from or self.side
        h, w = images.shape[1:]
        size = output_size(h, w, whole) if prepare.crop_from else (whole, whole)
        tables = [taps(n, out, whole) for n, out in zip((h, w), size, strict=True)]
        self.images, self.labels = there(images[:, None], np.uint8), there(labels, np.int64)
        self.tables = [there(table, np.int32) for table in tables]
        self.levels = [there(prepare.whole_mean(), np.float32), there(prepare.std, np.float32)]
        self.position = there([0], np.int64)
        self.dtype = minigrad.float32  # of the batches
        self.choices: Tensor | None = None
        self.light: Tensor | None = None

    def begin(self, choices: np.ndarray, light: np.ndarray | None = None, start: int = 0) -> None:
        """Show these: int32 (M, 4) of image, mirrored, top and left, and float32 (M, 1), from the
        place `start` on.

        They lie where the first ones lay: there a captured step looks for them.

        Raises:
            ValueError: these are more or fewer than the first ones, or of another kind.
        """
        given = choices, light
        if self.choices is None:
            device = self.labels.device
            self.choices, self.light = (x if x is None else Tensor(x).to(device) for x in given)
        for here, new in zip((self.choices, self.light), given, strict=True):
            before, now = (x if x is None else tuple(x.shape) for x in (here, new))
            if before != now:
                raise ValueError(
                    f"[Resident.begin] expected as many as at first, {before}, got {now}: a "
                    "captured step would not see them; make another Resident"
                )
            if here is not None:
                here.copy_(Tensor(new))
        self.position.fill_(start)

    def batch(self, count: int) -> tuple[Tensor, Tensor]:
        """Images (count, 1, S, S), and their labels (count,)."""
        from minigrad.kernels.cuda.images import image_batch

        assert self.choices is not None
        arrays = (self.choices, self.position, *self.tables, *self.levels)
        choices, position, rows, columns, mean, std = (x.array for x in arrays)
        images, labels = image_batch(
            self.images.array, self.labels.array, choices, position, count, self.side, rows,
            columns, mean, std, None if self.light is None else self.light.array, self.dtype,
        )  # fmt: skip
        return Tensor(images), Tensor(labels)

    def next(self, count: int) -> tuple[Tensor, Tensor]:
        """A batch, and on."""
        batch = self.batch(count)
        self.position += count
        return batch


def choices_of_epoch(batches: TrainingBatches, epoch: int) -> tuple[np.ndarray, np.ndarray | None]:
    """What `batches` shows in an epoch, as `Resident.begin` takes it."""
    order = batches.order(epoch)
    choices = np.zeros((len(order), 4), np.int32)
    choices[:, 0] = order
    light = None if batches.lighting is None else np.empty((len(order), 1), np.float32)
    for start in range(0, len(order), batches.batch_size):
        part = slice(start, start + batches.batch_size)
        drawn = batches.draw(epoch, order[part])
        if drawn.mirrored is not None:
            choices[part, 1] = drawn.mirrored
        if drawn.corners is not None:
            choices[part, 2:] = drawn.corners
        if light is not None and drawn.light is not None:
            light[part] = drawn.light[:, :, 0, 0]
    return choices, light


def views(
    images: Any, prepare: Preparation, device: Device, size: int, ten_crop: bool = False
) -> Iterator[tuple[Tensor, ...]]:
    """What a test shows a network of images, `size` of them at a time: the middle of each, or if
    `ten_crop` the ten of `prepare.views`; float32 (size, C, S, S) each, on the device."""
    parts = [np.arange(len(images))[start : start + size] for start in range(0, len(images), size)]
    if device.type == "cpu" or not can_stay(images, prepare):
        for part in parts:
            shown = images[part[0] : part[-1] + 1]
            each = prepare.views(shown) if ten_crop else (prepare(shown),)
            yield tuple(x.to(device) for x in each)
        return
    resident = Resident(images, np.zeros(len(images)), prepare, device)
    places = prepare.places(resident.side)
    places = places if ten_crop else places[4:5]
    choices = [np.insert([place] * len(part), 0, part, 1) for part in parts for place in places]
    resident.begin(np.concatenate(choices).astype(np.int32))
    for part in parts:
        yield tuple(resident.next(len(part))[0] for _ in places)
