"""Two quick looks before a long run: does one step go through, and can the network learn at all?

Neither writes anything.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from alexnet.console import Table, say
from alexnet.errors import RunError
from alexnet.evaluate import evaluate
from minigrad import Tensor, nn

if TYPE_CHECKING:
    from alexnet.train import Trainer

FEW = 8  # images of a dry run
TARGET_LOSS, MOST_STEPS, WARM_UP = 0.01, 1000, 100


def step(trainer: Trainer, images: Tensor, targets: Tensor) -> tuple[float, int]:
    """A training step, and a look at its loss and hits."""
    loss, right = (number.item() for number in trainer.train_step(images, targets))
    if not math.isfinite(loss):
        raise trainer.not_finite(images, loss)
    return loss, right


def dry_run(trainer: Trainer, steps: int | None = None) -> int:
    """One step and one evaluation on a few images; says what a run would write, in how many `steps`
    an epoch if the trainer has but a few of its images."""
    images, targets = next(trainer.batches.of_epoch(1))
    trainer.model.train()
    loss, right = step(trainer, images[:FEW].to(trainer.device), targets[:FEW].to(trainer.device))
    count = len(targets[:FEW])
    say(f"one training step on {count} images: loss {loss:.4f}, {right} of {count} right")
    data = trainer.data
    few = slice(FEW)
    result = evaluate(
        trainer.model, data.test_images[few], data.test_labels[few], trainer.prepare, trainer.device
    )
    count = len(result.targets)
    say(
        f"evaluation on {count} test images: loss {result.loss:.4f}, accuracy {result.accuracy:.1%}"
    )
    steps = steps or trainer.batches.steps()
    say(
        f"dry run: nothing was written. The run would take {trainer.config.epochs} x {steps:,} "
        f"steps and write config.json, metrics.jsonl, weights and pictures to {trainer.run}"
    )
    return 0


def overfit_batch(trainer: Trainer) -> int:
    """Train on one batch, dropout off, until its loss is below 0.01.

    A network that cannot learn one batch by heart will learn nothing: the gradients or the rate are
    wrong. The rate rises to its highest in WARM_UP steps and stays there: from a high one at once,
    ReLUs may not recover.

    Raises:
        RunError: the loss is not that low after 1,000 steps.
    """
    images, targets = next(trainer.batches.of_epoch(1))
    images, targets = images.to(trainer.device), targets.to(trainer.device)
    trainer.model.train()  # batch normalisation needs its batch
    for layer in trainer.model.modules():
        if isinstance(layer, nn.Dropout):
            layer.eval()
    table = Table({"step": 6, "loss": 9, "right": 9})
    for i in range(1, MOST_STEPS + 1):
        for group in trainer.optimizer.param_groups:
            group["lr"] = trainer.config.lr * min(1, i / WARM_UP)  # not the schedule's
        loss, right = step(trainer, images, targets)
        if i == 1 or i % 20 == 0 or loss < TARGET_LOSS:
            table.row(f"{i}", f"{loss:.4f}", f"{right}/{len(targets)}")
        if loss < TARGET_LOSS:
            say(
                f"one batch learnt by heart: loss below {TARGET_LOSS} after {i} steps; "
                "nothing was written"
            )
            return 0
    raise RunError(
        f"the loss on one batch is still {loss:.4f} after {MOST_STEPS:,} steps; try another --lr "
        f"(it was {trainer.config.lr:g})"
    )
