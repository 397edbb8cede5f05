"""What a run says about itself: before it starts, in config.json, and when it is over."""

from __future__ import annotations

import shlex
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any

import minigrad
from alexnet import environment
from alexnet.config import Config
from alexnet.console import counted, duration
from alexnet.datasets import Splits
from alexnet.environment import STAND_IN
from alexnet.evaluate import Evaluation
from alexnet.precision import Precision
from alexnet.presets import PRESETS

if TYPE_CHECKING:
    from alexnet.train import Trainer

WEIGHTS = {"own": "as the network has them", "paper": "N(0, 0.01), some biases 1"}
PIXELS = {
    "standard": "of mean 0 and deviation 1",
    "unit": "in 0..1",
    "mean-image": "0..255 less the mean image",
}


def lines(
    config: Config, data: Splits, device_line: str, precision: Precision, check: bool = False
) -> list[str]:
    """What is about to happen, or be checked. The first line names a stand-in for what it is."""
    on = STAND_IN if data.stand_in else "Fashion-MNIST"
    chosen = f", as many of each class, chosen by seed {config.seed}"
    count = f"{len(data.train_labels):,} training images"
    count += " (all)" if config.limit_train is None else chosen
    side = config.resize or data.train_images.shape[1]
    resized = f", enlarged to {side} x {side}" if config.resize else ""
    if config.crop_from is not None:
        resized = f", crops of {side} x {side} out of {config.crop_from} x {config.crop_from}"
    changes = ", mirrored at random" if config.augment else ""
    changes += f", lit at random ({config.lighting:g})" if config.lighting else ""
    changes += ", tested on ten crops at the end" if config.ten_crop else ""
    recipe = []
    if config.preset:
        preset, whole = PRESETS[config.preset], PRESETS[config.preset].settings["epochs"]
        recipe = [f"preset    {config.preset}: {preset.source}"]
        if config.epochs < whole:
            recipe.append(f"          made for {whole} epochs: fewer may teach it nothing")
    return [
        f"training {config.model} on {on}, {counted(config.epochs, 'epoch')}",
        *recipe,
        *machine(device_line),
        f"precision {precision}",
        *graph(config, device_line, check),
        f"data      {data.source}",
        f"          {count}; {len(data.test_labels):,} test images{resized}",
        *steps(config, changes),
        f"          weights {WEIGHTS[config.init]}; pixels {PIXELS[config.normalize]}",
    ]


def machine(device_line: str) -> list[str]:
    """What the run is computed with."""
    return [
        f"device    {device_line}",
        f"threads   {minigrad.get_num_threads()}; BLAS {environment.blas()}",
    ]


def graph(config: Config, device_line: str, check: bool) -> list[str]:
    """Whether a step is one launch, where that was asked for; in a check it is not."""
    if not config.graph:
        return []
    with_it = "a step is captured once, then launched as a whole"
    if check:
        with_it = "none in this check, whose steps run as they are; only a run captures them"
    without = "none: graphs need a GPU, and this run goes without"
    return [f"graph     {with_it if device_line.startswith('cuda') else without}"]


def steps(config: Config, changes: str) -> list[str]:
    """How the weights are changed, by which `changes` of the images."""
    return [
        f"training  {config.optimizer}, lr {config.lr:g} ({config.schedule}), momentum "
        f"{config.momentum:g}, weight decay {config.weight_decay:g}",
        f"          batches of {config.batch_size}{changes}, seed {config.seed}",
    ]


def description(config: Config, data: Splits, device_line: str) -> dict[str, Any]:
    """config.json: all settings, and what else decides about the result."""
    return {
        **config.to_json(),
        "dataset": data.name,
        "stand_in": data.stand_in,
        "data": {
            "source": data.source,
            "train_images": len(data.train_labels),
            "test_images": len(data.test_labels),
            "subset_seed": None if config.limit_train is None else config.seed,
            "classes": list(data.classes),
            "mean": data.mean,
            "std": data.std,
        },
        "device_used": device_line,
        **environment.describe(),
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": shlex.join(["alexnet", *sys.argv[1:]]),
    }


def result(trainer: Trainer, evaluation: Evaluation, digest: str, seconds: float) -> list[str]:
    """How a run ended: accuracy, time, hash, files; the last line says if it was a stand-in."""
    data, run, rows = trainer.data, trainer.run, trainer.rows
    best = max(rows, key=lambda row: row["test_acc"])
    in_epochs = sum(row["seconds"] for row in rows)
    files = sorted(path.name for path in run.folder.iterdir())
    crops = "(ten crops each) " if trainer.config.ten_crop else ""
    end = [
        f"test accuracy {evaluation.accuracy:.2%} on all {len(data.test_labels):,} test images "
        f"{crops}after epoch {rows[-1]['epoch']} "
        f"(best {best['test_acc']:.2%}, epoch {best['epoch']})",
        f"time {duration(seconds)}, {duration(in_epochs)} of it in epochs",
        f"SHA-256 of last.safetensors {digest}",
        f"{run}: {', '.join(files)}",
        f"next: alexnet predict {run} PICTURE, or alexnet evaluate {run}",
    ]
    return [*end, f"these numbers are of {STAND_IN}"] if data.stand_in else end
