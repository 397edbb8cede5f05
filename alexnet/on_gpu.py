"""Training on a GPU that nobody waits for: batches are made there, loss and hits are summed there.

To look at a number of the GPU is to wait until it has done everything it was asked for, while
nobody asks it for more. So a step looks at none. After every READ steps the sums are read, and a
loss that is no number stops the run then. With `--graph`, a step is one launch.
Next: `resident.py`, where the batches come from.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import numpy as np

import minigrad
from alexnet.console import Progress
from alexnet.interrupt import Interruption, Stopped
from alexnet.resident import Resident, choices_of_epoch
from minigrad import Tensor

if TYPE_CHECKING:
    from alexnet.train import Trainer

READ = 50  # steps between two looks at the sums


class OnGpu:
    """The steps of a Trainer, on images that lie on its GPU."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer, device = trainer, trainer.device
        data = trainer.data
        self.images = Resident(data.train_images, data.train_labels, trainer.prepare, device)
        self.sums = minigrad.zeros(2, dtype=minigrad.float64, device=device)  # loss, hits
        self.step = minigrad.cuda.graph(self.learn, device) if trainer.config.graph else self.learn

    def learn(self, count: int) -> Tensor:
        """A step on the next `count` images; returns the loss."""
        loss, hits = self.trainer.forward(*self.images.batch(count))
        self.trainer.update(loss)
        with minigrad.no_grad():
            self.images.count(count, self.sums, loss, hits)
        return loss

    def epoch(self, progress: Progress, interruption: Interruption) -> None:
        """The steps that are left of the trainer's epoch.

        Raises:
            Stopped: Ctrl-C, between two steps.
            RunError: the loss is not finite.
        """
        t = self.trainer
        size, total, steps = t.config.batch_size, len(t.data.train_labels), t.batches.steps()
        self.images.begin(*choices_of_epoch(t.batches, t.epoch), start=t.step * size)
        self.sums.copy_(Tensor(np.array([t.sums.loss, t.sums.right])))
        clock, seen = time.perf_counter(), 0
        while t.step < steps:
            count, lr = min(size, total - t.step * size), t.schedule.lr
            loss = self.step(count)
            t.schedule.after_step()
            t.step += 1
            seen += count
            stopped = interrupted(interruption)
            if t.step % READ == 0 or t.step == steps or stopped:
                self.read(seen, loss, lr)
                t.sums.seconds += time.perf_counter() - clock
                clock = time.perf_counter()
                progress.advance(seen, str(t.sums))
                seen = 0
            if stopped:
                raise stopped

    def read(self, seen: int, loss: Tensor, lr: float) -> None:
        """Bring the trainer's sums up to date, after `seen` more images."""
        t = self.trainer
        t.sums.images += seen
        t.sums.loss, right = self.sums.tolist()
        t.sums.right, t.sums.last_loss, t.sums.lr = int(right), loss.item(), lr
        if not math.isfinite(t.sums.loss):
            raise t.not_finite(t.prepare(t.data.train_images[:500]).to(t.device), t.sums.loss)


def interrupted(interruption: Interruption) -> Stopped | None:
    """Whether somebody pressed Ctrl-C: what is then to be raised."""
    try:
        interruption.check()
    except Stopped as stopped:
        return stopped
    return None
