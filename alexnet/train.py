"""`alexnet train`: what happens in a run, in the order in which it happens.

`command` reads like the run: settings, data, network, plan, epochs, pictures. The `Trainer` holds
everything that changes on the way, the random numbers of its device among it. It can be written
down between any two steps and taken up again, so that a run that was interrupted ends with the same
bits as one that was not: on the same machine with as many threads, and on the same kind of device.
Next: `steps.py`, the steps of an epoch.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np

import minigrad
from alexnet import checkpoint, checks, datasets, environment, layers, models, plan, report
from alexnet.batches import Preparation, TrainingBatches
from alexnet.config import Config, Schedule, make_optimizer
from alexnet.console import Progress, Table, say
from alexnet.datasets import Splits
from alexnet.errors import InputError, RunError
from alexnet.evaluate import Evaluation, evaluate
from alexnet.interrupt import Interruption, Stopped
from alexnet.paper import initialize
from alexnet.precision import Precision
from alexnet.runs import Run
from alexnet.steps import Steps
from minigrad import Tensor, nn
from minigrad.backend import CPU, Device
from minigrad.nn import functional as F
from minigrad.nn.functional.loss import cross_entropy_and_hits

COLUMNS = {
    "epoch": 7,
    "train loss": 10,
    "train acc": 9,
    "test loss": 9,
    "test acc": 8,
    "lr": 9,
    "images/s": 8,
    "seconds": 7,
}
C = TypeVar("C", bound=Config)
AUXILIARY = 0.3  # weight of the losses of classifiers halfway through a network


def command(args: argparse.Namespace) -> int:
    """Run `alexnet train`; returns the exit code."""
    began = time.perf_counter()
    config, run = resumed_run(args, Config) if args.resume else new_run(args)
    data = datasets.load(config.dataset, config.data_dir, config.limit_train, config.seed)
    device, device_line = environment.choose_device(config.device)
    minigrad.manual_seed(config.seed)
    model = models.get_model(config.model, num_classes=len(data.classes), in_channels=1)
    if config.init == "paper":
        initialize(model)
    side = config.resize or data.train_images.shape[1]
    table = layers.table(layers.trace_or_explain(model, config.model, (1, side, side)))
    trainer = Trainer(config, data, model.to(device), device, run)
    check = args.overfit_batch or args.dry_run
    say(*plan.lines(config, data, device_line, trainer.precision, check), "", *table, "")

    if args.overfit_batch:
        return checks.overfit_batch(trainer)
    if args.dry_run:
        return checks.dry_run(trainer)
    if args.resume:
        trainer.resume()
    else:
        run.make()
        run.write_config(plan.description(config, data, device_line))
    return carry_out(trainer, began)


def carry_out(trainer: Trainer, began: float) -> int:
    """The epochs and the pictures of a run that `began` then; returns the exit code."""
    with Interruption() as interruption:
        try:
            result = trainer.train(interruption)
        except Stopped:
            trainer.save_here()
            say(
                f"stopped in epoch {trainer.epoch} with everything saved; go on with: "
                f"alexnet {trainer.command} --resume {trainer.run}"
            )
            return 130
    digest = trainer.finish(result)
    say("", *plan.result(trainer, result, digest, time.perf_counter() - began))
    return 0


def new_run(args: argparse.Namespace) -> tuple[Config, Run]:
    """The settings and the folder of a run that begins."""
    return Config.of(given(args), args.full), Run.planned(args.out)


def resumed_run(args: argparse.Namespace, kind: type[C]) -> tuple[C, Run]:
    """The settings, of this kind, and the folder of the run to go on with.

    Raises:
        InputError: no such run, nothing to go on with, or a flag that a resumed run cannot follow.
    """
    run = Run.existing(args.resume)
    settings = given(args, kind)
    extra = [name for name in settings if name not in ("data_dir", "device", "graph")]
    switches = ("full", "out", "dry_run", "overfit_batch")
    extra += [name for name in switches if getattr(args, name, None)]
    if extra:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in extra)
        raise InputError(f"a resumed run keeps its settings: leave out {flags}")
    values = run.read_config()
    command = "finetune" if "freeze" in values else "train"
    if command != args.command:
        raise InputError(f"{run} is a run of another command: alexnet {command} --resume {run}")
    config = kind.from_json({**values, **settings})
    if not run.snapshot.is_file():
        raise InputError(
            f"{run} is finished: there is nothing to resume"
            if run.last.is_file()
            else f"{run} has no {run.snapshot.name}: it stopped before anything was saved"
        )
    return config, run


def given(args: argparse.Namespace, kind: type[Config] = Config) -> dict[str, Any]:
    """The settings, of this kind, that stand on the command line."""
    names = kind().to_json()
    return {
        name: value for name, value in vars(args).items() if name in names and value is not None
    }


def scores_and_loss(
    output: Tensor | tuple[Tensor, ...], targets: Tensor, cross_entropy: Any = F.cross_entropy
) -> tuple[Tensor, Tensor]:
    """The scores (N, classes), and the mean cross-entropy.

    A network in training may return a tuple: its scores, and those of classifiers halfway, whose
    only use is to pass a gradient to the early layers. Their losses are added with a weight of 0.3,
    as the GoogLeNet paper has it.
    """
    scores, *halfway = output if isinstance(output, tuple) else (output,)
    loss = cross_entropy(scores, targets)
    for others in halfway:
        loss = loss + AUXILIARY * cross_entropy(others, targets)
    return scores, loss


def rng_state(device: Device) -> dict[str, Any]:
    """What dropout on this device goes on from: NumPy's state, or a GPU's seed and offset."""
    return minigrad.get_rng_state() if device == CPU else minigrad.cuda.get_rng_state(device)


def set_rng_state(state: dict[str, Any] | None, device: Device) -> bool:
    """Go on from there; False where the state is that of another kind of device."""
    if state is None or ("offset" in state) == (device == CPU):
        return False
    if device == CPU:
        minigrad.set_rng_state(state)
    else:
        minigrad.cuda.set_rng_state(state, device)
    return True


@dataclass
class Sums:
    """What was seen of the epoch that is going on."""

    images: int = 0
    loss: float = 0.0  # summed over images
    right: int = 0
    last_loss: float = 0.0  # the mean of the last batch
    lr: float = 0.0  # of the last step
    seconds: float = 0.0

    def __str__(self) -> str:
        return (
            f"loss {self.last_loss:.3f} (avg {self.loss / self.images:.3f}), "
            f"acc {self.right / self.images:.1%}, lr {self.lr:.2g}"
        )


class Trainer:
    """A run in progress: the model, and everything that changes with it.

    `net`, the network that is written down, and `gallery`, the test images as uint8, are the model
    and the data's own, unless fine-tuning trains but the end of a network.
    """

    command = "train"  # what goes on with the run

    def __init__(
        self, config: Config, data: Splits, model: nn.Module, device: Device, run: Run,
        prepare: Preparation | None = None,
    ) -> None:  # fmt: skip
        self.config, self.data, self.model, self.device, self.run = config, data, model, device, run
        self.net, self.gallery = model, data.test_images
        self.prepare = prepare or Preparation.of(config, data)
        self.batches = TrainingBatches(
            data, self.prepare, config.batch_size, config.augment, config.seed, config.lighting
        )
        self.precision = Precision(config.precision, device)
        self.optimizer = make_optimizer(config, model)
        self.schedule = Schedule(config, self.optimizer, self.batches.steps())
        self.epoch, self.step = 1, 0  # the epoch that is going on; how many steps of it are done
        self.sums = Sums()
        self.rows: list[dict[str, Any]] = []  # finished epochs, as in metrics.jsonl
        self.steps: Steps | None = None

    # -- the loop ---------------------------------------------------------------------------

    def train(self, interruption: Interruption) -> Evaluation:
        """The epochs that are left; returns the last evaluation, on ten crops if that is set.

        Raises:
            Stopped: Ctrl-C, between two steps.
            RunError: the loss is not finite.
        """
        table = Table(COLUMNS)
        result = None
        while self.epoch <= self.config.epochs:
            self.train_epoch(interruption)
            result, seconds = self.test(interruption)
            self.end_epoch(result, seconds)
            table.row(*self.cells())
            interruption.check()
        if result is None or self.config.ten_crop:
            result, _ = self.test(interruption, self.config.ten_crop)
        return result

    def train_epoch(self, interruption: Interruption) -> None:
        """The steps that are left of this epoch."""
        if self.step == 0:
            self.seed()
        self.model.train()
        with Progress(self.label(), len(self.data.train_labels), self.sums.images) as progress:
            self.steps = self.steps or Steps(self)
            self.steps.epoch(progress, interruption)

    def train_step(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Forward, backward, update. Returns the loss, and how many images were named rightly.

        On a GPU these are not looked at here, for that would be to wait: see `steps.py`.
        """
        loss, hits = self.forward(images, targets)
        if self.device == CPU and not math.isfinite(loss.item()):
            raise self.not_finite(images, loss.item())
        self.update(loss)
        return loss.detach(), hits

    def forward(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The loss, and how many images were named rightly."""
        hits: list[Tensor] = []  # of the network's scores, then of classifiers halfway

        def cross_entropy(scores: Tensor, targets: Tensor) -> Tensor:
            loss, right = cross_entropy_and_hits(scores, targets)
            hits.append(right)
            return loss

        with self.precision.forward():
            _, loss = scores_and_loss(self.model(images), targets, cross_entropy)
        return loss, hits[0]

    def update(self, loss: Tensor) -> None:
        """Backward and update."""
        scaler = self.precision.scaler  # which does nothing but in fp16
        self.optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(self.optimizer)
        scaler.update()

    def test(self, interruption: Interruption, ten_crop: bool = False) -> tuple[Evaluation, float]:
        """All test images, and the seconds that took."""
        images, clock = self.data.test_images, time.perf_counter()
        result = evaluate(
            self.model,
            images,
            self.data.test_labels,
            self.prepare,
            self.device,
            label="testing ten crops" if ten_crop else f"{self.label()} testing",
            after_batch=interruption.check,
            ten_crop=ten_crop,
        )
        if not math.isfinite(result.loss):
            raise self.not_finite(self.prepare(images[:500]).to(self.device), result.loss)
        return result, time.perf_counter() - clock

    def end_epoch(self, result: Evaluation, seconds: float) -> None:
        """Write down the epoch: its row, the weights, and a snapshot for the next one."""
        sums = self.sums
        row = {
            "epoch": self.epoch,
            "train_loss": sums.loss / sums.images,
            "train_acc": sums.right / sums.images,
            "test_loss": result.loss,
            "test_acc": result.accuracy,
            "seconds": sums.seconds + seconds,
            "images_per_second": sums.images / sums.seconds,
            "lr": sums.lr,
        }
        is_best = all(row["test_acc"] > earlier["test_acc"] for earlier in self.rows)
        self.rows.append(row)
        self.schedule.after_epoch(row["train_loss"], 1 - row["test_acc"])
        self.epoch, self.step, self.sums = self.epoch + 1, 0, Sums()
        self.run.write_metrics(self.rows)
        self.save_epoch(is_best)

    def save_epoch(self, is_best: bool) -> None:
        """Write down the weights of an epoch that has ended."""
        if is_best:
            checkpoint.save_weights(self.net, self.run.best, self.about())
        self.save_here()

    def finish(self, result: Evaluation) -> str:
        """The pictures; then nothing is left to resume. Returns the SHA-256 of the last weights."""
        folder, classes = self.run.folder, self.data.classes
        report.save_curves(self.rows, folder / "curves.png")
        report.save_confusion(
            result.confusion(), classes, folder / "confusion.png", folder / "confusion.csv"
        )
        report.save_misclassified(
            self.gallery,
            result.targets,
            result.predictions,
            result.probabilities,
            classes,
            folder / "misclassified.png",
        )
        filters = next(self.net.parameters()).detach().cpu().numpy()  # (O, C, KH, KW)
        report.save_filters(filters, folder / "filters.png")
        self.run.snapshot.unlink(missing_ok=True)
        return checkpoint.sha256(self.run.last)

    # -- what is said -----------------------------------------------------------------------

    def label(self) -> str:
        return f"epoch {self.epoch}/{self.config.epochs}"

    def cells(self) -> tuple[str, ...]:
        """The last finished epoch as a row of COLUMNS."""
        row = self.rows[-1]
        return (
            f"{row['epoch']}/{self.config.epochs}",
            f"{row['train_loss']:.4f}",
            f"{row['train_acc']:.2%}",
            f"{row['test_loss']:.4f}",
            f"{row['test_acc']:.2%}",
            f"{row['lr']:.3g}",
            f"{row['images_per_second']:,.0f}",
            f"{row['seconds']:.1f}",
        )

    def not_finite(self, images: Tensor, loss: float) -> RunError:
        """The error for a loss that is no number: where that began, what was kept, what to try."""
        with self.precision.forward():
            where = layers.first_not_finite(self.model, images) or "no layer, but the loss itself"
        if self.rows and self.run.last.is_file():
            kept = f"{self.run.last} of epoch {self.rows[-1]['epoch']} is kept"
        else:
            kept = f"{'' if self.rows else 'no epoch was finished, so '}no weights were kept"
        return RunError(
            f"the loss became {loss} in epoch {self.epoch} after step {self.step}: {where}; "
            f"{kept}. Try a smaller --lr (it was {self.config.lr:g})"
            f"{', or --precision bf16' if self.precision.name == 'fp16' else ''}"
        )

    # -- stopping and going on --------------------------------------------------------------

    def seed(self, *place: int) -> None:
        """Seed dropout for this epoch, or for this place in it."""
        entropy = [self.config.seed, self.epoch, *place]
        minigrad.manual_seed(int(np.random.SeedSequence(entropy).generate_state(1)[0]))

    def about(self) -> dict[str, Any]:
        """What a weights file says: how to build the network, and how to prepare its images."""
        return {
            "model": self.config.model,
            "num_classes": len(self.data.classes),
            "in_channels": 1,
            "classes": list(self.data.classes),
            **self.prepare.to_json(),
            "dataset": self.data.name,
            "stand_in": self.data.stand_in,
            "epoch": len(self.rows),
        }

    def save_here(self) -> None:
        """Write down everything, between two steps."""
        checkpoint.save_weights(self.net, self.run.last, self.about())
        state = {
            "epoch": self.epoch,
            "step": self.step,
            "sums": asdict(self.sums),
            "rows": self.rows,
            "schedule": self.schedule.state_dict(),
            "scaler": self.precision.scaler.state_dict(),
            "rng": rng_state(self.device),
        }
        checkpoint.save_snapshot(self.run.snapshot, self.model, self.optimizer, state)

    def resume(self) -> None:
        """Go back to where `save_here` was called.

        Raises:
            InputError: the snapshot cannot be read, or is of another network.
        """
        state = checkpoint.load_snapshot(self.run.snapshot, self.model, self.optimizer)
        self.epoch, self.step, self.rows = state["epoch"], state["step"], state["rows"]
        self.sums = Sums(**state["sums"])
        self.schedule.load_state_dict(state["schedule"])
        self.precision.scaler.load_state_dict(state.get("scaler", {}))  # older runs have none
        if not set_rng_state(state["rng"], self.device):
            self.seed(self.step)
        say(f"going on with {self.run} in epoch {self.epoch} after {self.step} steps")
        before, now = self.run.read_config().get("threads"), minigrad.get_num_threads()
        if before != now:
            say(f"with {now} threads instead of {before}: the last bits of its sums will differ")
