"""`alexnet finetune`: a trained network learns other classes, from a folder of pictures.

What a network has learnt of edges, fur and wheels serves for other pictures too. It gets a new last
layer, its head, for the new classes; the rest of it, the backbone, is frozen or trained along. A
frozen backbone, which is in evaluation mode and so without dropout, makes the same of a picture
whatever the epoch. That is computed once: what is trained then are numbers in, scores out, by the
same `Trainer` as any network. Next: `folders.py`, where the pictures come from.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import minigrad
from alexnet import checkpoint, checks, environment, folders, layers, models, plan
from alexnet.batches import Preparation
from alexnet.config import FineTuning
from alexnet.console import counted, say
from alexnet.datasets import Splits
from alexnet.errors import InputError
from alexnet.folders import Half, Halves, Pictures, around
from alexnet.interrupt import Interruption, Stopped
from alexnet.runs import Picture, Run
from alexnet.train import Trainer, carry_out, given, resumed_run
from alexnet.weights import PUBLISHED, fill, published_file, read_state, spare_of
from minigrad import Tensor, nn
from minigrad.backend import Device

# What depends on the number of classes, where it is not just the last linear layer; the scores come
# from the first of these.
HEADS = {"nin": ("7",), "googlenet": ("fc", "aux1.fc2", "aux2.fc2")}
SHOWN = 10  # classes that the plan names
IMAGENET = {  # of pixels in 0..1: of each channel, and of grey pictures
    3: ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    1: (0.449, 0.226),
}


def command(args: argparse.Namespace) -> int:
    """Run `alexnet finetune`; returns the exit code."""
    began = time.perf_counter()
    if args.resume:
        config, run = resumed_run(args, FineTuning)
    else:
        settings = given(args, FineTuning)
        if "weights" in settings and "model" not in settings:
            settings["model"] = network_of(settings["weights"])
        config, run = FineTuning.chosen(settings), Run.planned(args.out)
    found = folders.halves(config.data_dir or "", config.val_fraction, config.seed)
    device, device_line = environment.choose_device(config.device)
    minigrad.manual_seed(config.seed)
    net, origin = checkpoint.load_model(run.last) if args.resume else renewed(config, found.classes)
    side = config.resize or origin["resize"]
    crop_from = around(side) if config.augment else None  # as in the AlexNet paper
    path = origin.get("weights", config.weights)
    config = replace(config, resize=side, crop_from=crop_from, weights=path)
    traced = layers.trace_or_explain(net, config.model, (origin["in_channels"], side, side))
    head = heads_of(config.model, net)[0]
    feature = next(x.input_shape[1:] for x in traced if f"{x.path}.".startswith(f"{head}."))
    say(*lines(config, found, feature, head, device_line), "", *layers.table(traced), "")
    tuner = Tuner(config, net.to(device), origin, device, run)

    if args.dry_run:
        steps = -(-len(found.train.files) // config.batch_size)
        return checks.dry_run(tuner.trainer(few(found, config.seed)), steps)
    run.make()
    try:
        with Interruption() as interruption:
            trainer = tuner.trainer(found, run.folder, interruption.check)
    except BaseException as error:
        with suppress(OSError):
            run.folder.rmdir()  # if it is empty
        if not isinstance(error, Stopped):
            raise
        say("stopped while the pictures were read, with nothing to save")
        return 130
    folders.say_skipped(tuner.skipped)
    if args.resume:
        check_unchanged(trainer.data, tuner.used, run)
        trainer.resume()
    else:
        description = plan.description(config, trainer.data, device_line)
        run.write_pictures(tuner.used)
        run.write_config({**description, "skipped": len(tuner.skipped)})
        if tuner.skipped:
            run.write_rows(run.skipped, [("file", "reason"), *tuner.skipped.items()])
    code = carry_out(trainer, began)
    if tuner.skipped:
        say(f"skipped {counted(len(tuner.skipped), 'file')}: see {run.skipped}")
    return code


# ------------------------------------------------------------------------------------ the network


def renewed(config: FineTuning, classes: Sequence[str]) -> tuple[nn.Module, dict[str, Any]]:
    """The network with the weights of a file and a new head for `classes`; and how it was built and
    how pictures are shown to it, as a weights file says it.

    The head begins as the network's own initialisation has it.

    Raises:
        InputError: no such file, no published weights on this machine, or those of another network.
    """
    name = config.model
    path = weights_file(config.weights or published_file(name))
    state, said = read_state(path), checkpoint.about_of(path)
    build = dict(said.get("build", {}))
    if name in PUBLISHED and Path(path).name == PUBLISHED[name].file:
        build = dict(PUBLISHED[name].config)
    if name == "googlenet":  # its auxiliary heads only help to train the backbone
        with_aux = config.freeze == "none" and any(key.startswith("aux1.") for key in state)
        build["aux_logits"] = with_aux
    channels = 3
    net = models.get_model(name, num_classes=len(classes), in_channels=channels, **build)
    first = next(iter(net.state_dict()))  # the weight of the first convolution, (O, C, KH, KW)
    if first in state and state[first].ndim == 4 and state[first].shape[1] == 1:
        channels = 1
        net = models.get_model(name, num_classes=len(classes), in_channels=channels, **build)
    fill(net, state, path, spare_of(name), tuple(f"{head}." for head in heads_of(name, net)))
    mean, std = IMAGENET[channels]
    return net, {
        "weights": str(path),
        "build": build,
        "in_channels": channels,
        "mean": said.get("mean", mean),
        "std": said.get("std", std),
        "resize": said.get("resize") or models.MODELS[name].input_shape[1],
    }


def weights_file(path: str | Path) -> Path:
    """`path`, or the last weights of the run that is there."""
    return Run.existing(str(path)).last if Path(path).is_dir() else Path(path)


def network_of(weights: str) -> str:
    """The name of the network that a weights file, or a run, says it is of.

    Raises:
        InputError: it cannot be read, or is of others, who do not say.
    """
    path = weights_file(weights)
    name = checkpoint.about_of(path).get("model")
    if name not in models.MODELS:
        read_state(path)  # says what is wrong with a file that is none
        raise InputError(f"{path} does not say which network it is of: name it by --model")
    return str(name)


def heads_of(name: str, net: nn.Module) -> tuple[str, ...]:
    """The paths of the layers of the network `name` that depend on the number of classes."""
    linear = (path for path, layer in net.named_modules() if isinstance(layer, nn.Linear))
    return HEADS.get(name) or (list(linear)[-1],)


def end_of(net: nn.Module, head: str) -> nn.Module:
    """What makes scores of the features: the head, and what follows it."""
    if isinstance(net, nn.Sequential) and head in net._modules:
        return net[list(net._modules).index(head) :]
    return net.get_submodule(head)


def features(net: nn.Module, head: str, images: Tensor) -> Tensor:
    """What the head gets to see of the images."""
    seen: list[Tensor] = []
    with net.get_submodule(head).register_forward_pre_hook(lambda _, args: seen.append(args[0])):
        net(images)
    return seen[0]


# ---------------------------------------------------------------------------------------- the run


class Rows(Preparation):
    """That of pictures whose features are computed already, which need nothing more."""

    def whole(self, rows: np.ndarray) -> np.ndarray:
        return np.array(rows)


class FineTuner(Trainer):
    """A run that trains `model`, the network `net` or the end of it, and writes down all of it."""

    command = "finetune"

    def __init__(
        self, config: FineTuning, data: Splits, model: nn.Module, device: Device, run: Run,
        prepare: Preparation, net: nn.Module, gallery: Any, origin: dict[str, Any],
    ) -> None:  # fmt: skip
        super().__init__(config, data, model, device, run, prepare)
        self.net, self.gallery, self.origin = net, gallery, origin
        self.best: tuple[dict[str, Any], dict[str, Tensor]] | None = None  # what to write of it

    def save_epoch(self, is_best: bool) -> None:
        """To train a head alone takes seconds, and to write the whole network down takes longer
        than an epoch does: that happens at the end, or when the run is stopped."""
        if self.net is self.model:
            super().save_epoch(is_best)
            return
        if is_best:
            self.best = self.about(), self.state()
        if self.epoch > self.config.epochs:
            self.save_here()

    def save_here(self) -> None:
        super().save_here()
        if self.best is not None:
            about, best = self.best
            now, self.best = self.state(), None
            self.model.load_state_dict(best)
            checkpoint.save_weights(self.net, self.run.best, about)
            self.model.load_state_dict(now)

    def state(self) -> dict[str, Tensor]:
        """The weights that are trained, as they are now."""
        return {key: tensor.clone() for key, tensor in self.model.state_dict().items()}

    def about(self) -> dict[str, Any]:
        config = self.config.to_json()
        return {
            **super().about(),
            **{name: self.origin[name] for name in ("build", "in_channels")},
            **{name: config[name] for name in ("data_dir", "val_fraction", "seed")},
        }


class Tuner:
    """Reads the pictures, and makes the trainer that learns them.

    `used` are the pictures that it read, `skipped` the files that cannot be used, and why.
    """

    def __init__(
        self, config: FineTuning, net: nn.Module, origin: dict[str, Any], device: Device, run: Run
    ) -> None:
        self.config, self.net, self.origin = config, net, origin
        self.device, self.run = device, run
        self.head = heads_of(config.model, net)[0]
        self.frozen = config.freeze == "backbone"
        self.side = config.resize or origin["resize"]
        self.prepare = Preparation(origin["mean"], origin["std"], self.side, config.crop_from)
        self.used: list[Picture] = []
        self.skipped: dict[str, str] = {}

    def trainer(
        self, found: Halves, folder: Path | None = None, check: Callable[[], None] = lambda: None
    ) -> FineTuner:
        """Read all pictures once. What `check` raises ends that.

        Raises:
            InputError: no picture of a class can be read.
        """
        config, prepare, model = self.config, self.prepare, self.net
        self.skipped = dict.fromkeys(found.nameless, "its name says no class")
        if self.frozen:
            self.net.requires_grad_(False).eval()
            model = end_of(self.net, self.head).requires_grad_(True)
            prepare = Rows(**vars(prepare))
        train, train_rows = self.read(found.train, "training pictures", folder, check)
        test, test_rows = self.read(found.test, "test pictures", folder, check)
        self.check(found, train, test)
        self.used = [
            Picture(use, found.classes[label], folders.below(config.data_dir or "", file))
            for use, half in (("train", train), ("test", test))
            for file, label in zip(half.files, half.labels, strict=True)
        ]
        gallery = self.pictures(test.files)
        if not self.frozen:
            train_rows, test_rows = self.pictures(train.files), gallery
        data = Splits(
            name=config.dataset,
            train_images=train_rows,
            train_labels=train.labels,
            train_indices=np.arange(len(train.labels)),
            test_images=test_rows,
            test_labels=test.labels,
            classes=found.classes,
            mean=self.origin["mean"],
            std=self.origin["std"],
            source=f"{config.data_dir}, {found.how}",
            stand_in=False,
        )
        return FineTuner(
            config, data, model, self.device, self.run, prepare, self.net, gallery, self.origin
        )

    def pictures(self, files: Sequence[str]) -> Any:
        """Files as the network is shown them, or with a margin to crop."""
        return Pictures(files, self.side, self.config.crop_from, self.origin["in_channels"] == 1)

    def read(
        self, half: Half, label: str, folder: Path | None, check: Callable[[], None]
    ) -> tuple[Half, Any]:
        """Those pictures of `half` that can be used; and, of a frozen backbone, their features:
        float32 (N, ...), in a file in `folder` that vanishes with the process.
        """
        pictures, rows = self.pictures(half.files), None
        if self.frozen:
            with tempfile.TemporaryFile(dir=folder) as file:
                shape: tuple[int, ...] = ()

                def write(images: np.ndarray) -> None:
                    nonlocal shape
                    with minigrad.no_grad():
                        x = self.prepare(images).to(self.device)
                        some = features(self.net, self.head, x).cpu().numpy()
                    shape = some.shape[1:]
                    file.write(some.tobytes())

                kept, bad = folders.sift(pictures, f"reading {label}", write, check)
                file.flush()
                if len(kept):
                    rows = np.memmap(file, np.float32, "r", shape=(len(kept), *shape))
        else:
            kept, bad = folders.sift(pictures, f"reading {label}", after_batch=check)
        self.skipped.update(bad)
        return half.chosen(kept), rows

    def check(self, found: Halves, train: Half, test: Half) -> None:
        """Raises InputError if nothing of a class in `found` is left to train on, or to test on."""
        lost = np.setdiff1d(found.train.labels, train.labels)
        if len(lost) or not test.files:
            names = ", ".join(found.classes[k] for k in lost)
            whose = f"of {names} to train on" if names else "to test on"
            file, reason = next(iter(self.skipped.items()))
            raise InputError(
                f"{self.config.data_dir} has no picture {whose} that can be read: "
                f"{len(self.skipped):,} files were skipped, such as {file}: {reason}"
            )


def few(found: Halves, seed: int) -> Halves:
    """A few pictures of each half, chosen at random."""
    rng = np.random.default_rng(seed)
    train, test = (
        half.chosen(rng.permutation(len(half.files))[: checks.FEW])
        for half in (found.train, found.test)
    )
    return found._replace(train=train, test=test)


def check_unchanged(data: Splits, used: Sequence[Picture], run: Run) -> None:
    """Raises InputError if the pictures are not those with which `run` began."""
    then, now = run.read_config()["data"], (len(data.train_labels), len(data.test_labels))
    before = then["train_images"], then["test_images"]
    if list(data.classes) != then["classes"] or before != now:
        raise InputError(
            f"{data.source}: there are {now[0]:,} + {now[1]:,} pictures of {len(data.classes)} "
            f"classes, but {before[0]:,} + {before[1]:,} of {len(then['classes'])} when the run "
            "began; put them back, or begin anew"
        )
    listed = run.read_pictures() or used  # a run of an earlier version does not list them
    differ = sorted({p.file for p in {*used} ^ {*listed}})
    if differ:
        raise InputError(
            f"{data.source}: {differ[0]} and perhaps others came, went or changed halves since the "
            f"run began, see {run.pictures}; put them back, or begin anew"
        )


# ----------------------------------------------------------------------------------- what is said


def lines(
    config: FineTuning, found: Halves, feature: tuple[int, ...], head: str, device_line: str
) -> list[str]:
    """What is about to happen; `feature` is the shape of what the head gets of a picture."""
    side, total = config.resize or 0, len(found.train.files) + len(found.test.files)
    names = ", ".join(found.classes[:SHOWN]) + (", ..." if len(found.classes) > SHOWN else "")
    if config.freeze == "backbone":
        size = 4 * math.prod(feature)
        backbone = [
            f"backbone  frozen: its {size // 4:,} features of each picture are computed once, so "
            "pictures are not augmented;",
            f"          they are on disk while the run lasts: {total:,} x {size:,} bytes = "
            f"{total * size / 1e6:,.1f} MB",
        ]
    else:
        backbone = ["backbone  trained along with the head"]
    others = folders.other_kinds(config.data_dir or "")
    augmented = ", cut at random places, mirrored at random" if config.augment else ""
    return [
        f"fine-tuning {config.model} on {config.data_dir}, {counted(config.epochs, 'epoch')}",
        *plan.machine(device_line),
        f"weights   {config.weights}",
        f"          new head {head} for {len(found.classes):,} classes: {names}",
        *backbone,
        f"data      {len(found.train.files):,} training and {len(found.test.files):,} test "
        f"pictures, {found.how}",
        f"          shorter side {around(side)}, of that the middle {side} x {side}",
        *([f"          left out, not named as pictures: {others}"] if others else []),
        *plan.steps(config, augmented),
    ]
