"""The steps of an epoch. On a GPU nobody waits for them: loss and hits are summed where they are.

To look at a number of the GPU is to wait until it has done everything it was asked for, while
nobody asks it for more. So a step looks at none, be its images there already or on their way. After
every READ steps the sums are read, and a loss that was no number stops the run then; the sums say
after which step. The CPU is never ahead of anybody: its sums are read after each step. With
`--graph`, a step is one launch. Next: `resident.py`, data that lie on the GPU.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

import minigrad
from alexnet.console import Progress
from alexnet.interrupt import Interruption, Stopped
from alexnet.resident import Resident, can_stay, choices_of_epoch
from minigrad import Tensor
from minigrad.backend import CPU

if TYPE_CHECKING:
    from alexnet.train import Trainer

READ = 50  # steps between two looks at the sums


class Steps:
    """The steps of a Trainer, and what they add up to: of an epoch the loss of all images, the
    hits, and the steps until the first after which the loss is not finite."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer, device, data = trainer, trainer.device, trainer.data
        self.every = 1 if device == CPU else READ
        self.images: Resident | None = None
        if device != CPU and can_stay(data.train_images, trainer.prepare):
            self.images = Resident(data.train_images, data.train_labels, trainer.prepare, device)
        self.sums = minigrad.zeros(3, dtype=minigrad.float64, device=device)
        self.step = minigrad.cuda.graph(self.learn, device) if trainer.config.graph else self.learn

    def learn(self, *batch: Any) -> Tensor:
        """A step on images and their labels, or on the next `count` of the resident ones; returns
        the loss."""
        images, targets = batch if self.images is None else self.images.batch(*batch)
        loss, hits = self.trainer.train_step(images, targets)
        self.add(len(targets), loss, hits)
        return loss

    def add(self, count: int, loss: Tensor, hits: Tensor) -> None:
        """Count a batch of `count` images."""
        if self.trainer.device == CPU:
            self.sums.array += (loss.item() * count, hits.item(), 1)
            return
        from minigrad.kernels.cuda.images import count_batch

        position = None if self.images is None else self.images.position.array
        count_batch(position, count, self.sums.array, loss.array, hits.array)

    def batches(self) -> Iterator[tuple[int, tuple[Any, ...]]]:
        """For each step that is left of the trainer's epoch, how many images, and what `learn`
        takes."""
        t = self.trainer
        if self.images is None:
            for images, targets in t.batches.of_epoch(t.epoch, t.step):
                yield len(targets), (images.to(t.device), targets.to(t.device))
            return
        size, total = t.config.batch_size, len(t.data.train_labels)
        self.images.begin(*choices_of_epoch(t.batches, t.epoch), start=t.step * size)
        for start in range(t.step * size, total, size):
            count = min(size, total - start)
            yield count, (count,)

    def epoch(self, progress: Progress, interruption: Interruption) -> None:
        """The steps that are left of the trainer's epoch.

        Raises:
            Stopped: Ctrl-C, between two steps.
            RunError: the loss is not finite.
        """
        t, steps, seen = self.trainer, self.trainer.batches.steps(), 0
        self.sums.copy_(Tensor(np.array([t.sums.loss, t.sums.right, t.step])))
        clock = time.perf_counter()
        for count, batch in self.batches():
            t.sums.lr = t.schedule.lr
            loss = self.step(*batch)
            t.schedule.after_step()
            t.step += 1
            seen += count
            stopped = interrupted(interruption)
            if t.step % self.every == 0 or t.step == steps or stopped:
                self.read(seen, loss)
                t.sums.seconds += time.perf_counter() - clock
                clock = time.perf_counter()
                progress.advance(seen, str(t.sums))
                seen = 0
            if stopped:
                raise stopped

    def read(self, seen: int, loss: Tensor) -> None:
        """Bring the trainer's sums up to date, after `seen` more images."""
        t = self.trainer
        t.sums.images += seen
        t.sums.loss, right, finite = self.sums.tolist()
        t.sums.right, t.sums.last_loss = int(right), loss.item()
        if not math.isfinite(t.sums.loss):
            t.step = int(finite)
            images = t.prepare(t.data.train_images[: t.config.batch_size])
            raise t.not_finite(images.to(t.device), t.sums.loss)


def interrupted(interruption: Interruption) -> Stopped | None:
    """Whether somebody pressed Ctrl-C: what is then to be raised."""
    try:
        interruption.check()
    except Stopped as stopped:
        return stopped
    return None
