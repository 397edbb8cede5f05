"""`alexnet bench MODEL`: how long a batch takes, forward alone, and forward and backward.

It reports as the AlexNet benchmark among TensorFlow's first tutorials did: the time of every tenth
batch, then mean and standard deviation; and the median, which a disturbed batch does not move.
Forward is what a test does: evaluation mode, no graph. Forward-backward is a training step without
the update: scores, loss, and the gradients of all parameters. Images are noise.

With `--compare torch` the same network (`twin.py`) takes its turn after each of our batches, in
both of PyTorch's memory layouts, and the faster one counts. `python -m bench`, in a checkout,
measures more.
"""

from __future__ import annotations

import argparse
import gc
import math
import os
import statistics
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np

import minigrad
from alexnet import models, summary, twin
from alexnet.console import say
from alexnet.environment import choose_device
from alexnet.errors import InputError, RunError
from alexnet.timing import Samples, Series, Work, in_turn
from alexnet.train import scores_and_loss
from alexnet.twin import MINIGRAD, Side
from minigrad import nn
from minigrad.backend import Device

SMALL, LARGE = 128, 32  # images in a batch
WARM_UP = 5  # batches: memory is mapped, and workers have started
SECONDS, FEWEST, MOST = 30.0, 10, 100  # batches, where their number is left to the time they take
EVERY = 10  # batches from one line to the next
BUSY = 0.5  # load average at the start from which a machine is not at rest


def command(args: argparse.Namespace) -> int:
    """Time the network at its published image size; print its passes and its layers."""
    _, *size = models.MODELS[args.model].input_shape
    n = args.batch_size or (SMALL if max(size) <= 32 else LARGE)
    threads = minigrad.get_num_threads()
    gc.collect()
    gc.freeze()  # or a full collection of the libraries' many objects may fall into a batch
    try:
        minigrad.set_num_threads(args.threads or threads)
        measure(args, n)
    except MemoryError as error:
        raise RunError(
            f"a batch of {n:,} does not fit into memory ({error}): take a smaller --batch-size"
        ) from None
    finally:
        gc.unfreeze()
        minigrad.set_num_threads(threads)
    return 0


def measure(args: argparse.Namespace, n: int) -> None:
    """Print everything about batches of n images."""
    published = models.MODELS[args.model]
    device, device_line = choose_device(args.device or "auto")
    minigrad.manual_seed(0)
    images = minigrad.randn(n, *published.input_shape).numpy()
    labels = np.random.default_rng(0).integers(0, published.num_classes, n)
    model = models.get_model(args.model)
    sides = engines(args.model, model, images, args.compare, device)
    say(*summary.heading(args.model, n, device_line))
    if (load := os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0) >= BUSY:
        say(f"others use this machine (load average {load:.1f}): its times are not to be quoted")
    if args.compare:
        torch = twin.import_torch()
        say(f"beside PyTorch {torch.__version__}, threads {torch.get_num_threads()}")
    time = partial(
        in_turn, seconds=SECONDS, rounds=args.batches, warm_ups=args.warm_up or WARM_UP,
        bounds=(FEWEST, MOST), shortest=0.0, after_round=progress,
    )  # fmt: skip
    say("")
    report("Forward", time({name: forward(side, device) for name, side in sides.items()}))
    works = {name: training(side, labels, device) for name, side in sides.items()}
    samples = time(works)
    report("Forward-backward", samples)
    first, second = (statistics.median(phase) for phase in samples[MINIGRAD].values())
    say(
        f"backward takes {second / first:.2f} times as long as forward "
        f"(medians: {three(second)} and {three(first)} sec / batch)"
    )
    ours = sides[MINIGRAD]
    del sides, works  # PyTorch's memory
    say("", *summary.timed_table(ours.module, ours.inputs[0], device))


def engines(
    name: str, model: nn.Module, images: np.ndarray, compare: str | None, device: Device
) -> dict[str, Side]:
    """Our side, and PyTorch's in both layouts if it is to be compared.

    Raises:
        InputError: PyTorch is not installed, or does not see the GPU.
        Disagreement: it does not compute the same.
    """
    if compare is None:
        sides = {MINIGRAD: twin.minigrad_side(model, images)}
    else:
        torch = twin.import_torch()
        if device.type == "cuda" and not torch.cuda.is_available():
            raise InputError("this PyTorch sees no GPU to compare with: take --device cpu")
        torch.backends.cudnn.allow_tf32 = False  # both in float32
        sides = twin.sides(name, model, images, build=partial(twin.network_twin, name))
    return {engine: side.to(str(device)) for engine, side in sides.items()}


# --------------------------------------------------------------------------------- what is timed


def forward(side: Side, device: Device) -> Work:
    """A batch as in a test."""

    def scores(_: None) -> Any:
        with side.engine.no_grad():
            return side.module(*side.inputs)

    return Work({"forward": scores}, side.module.eval, partial(wait, side, device))


def training(side: Side, labels: np.ndarray, device: Device) -> Work:
    """A batch as in training, without the update: forward, and backward."""
    target = side.engine.from_numpy(labels).to(str(device))
    cross_entropy = side.engine.nn.functional.cross_entropy

    def prepare() -> None:
        side.module.train()
        side.module.zero_grad()

    def loss(_: None) -> Any:
        return scores_and_loss(side.module(*side.inputs), target, cross_entropy)[1]

    phases = {"forward": loss, "backward": lambda loss: loss.backward()}
    return Work(phases, prepare, partial(wait, side, device))


def wait(side: Side, device: Device) -> None:
    """Let the GPU finish what this engine asked for; the CPU has."""
    if device.type == "cuda":
        side.engine.cuda.synchronize()


# ---------------------------------------------------------------------------------- what is said


def progress(done: int, samples: Mapping[str, Samples]) -> None:
    """Every tenth batch, and what it took."""
    if done % EVERY:
        return
    ours, *others = (math.fsum(s[-1] for s in phases.values()) for phases in samples.values())
    shown = [f"{name} {three(s)}" for name, s in zip([*samples][1:], others, strict=True)]
    beside = f" (PyTorch: {', '.join(shown)})" if others else ""
    say(f"{now()}: step {done}, duration = {three(ours)}{beside}")


def report(what: str, samples: Mapping[str, Samples]) -> None:
    """A line for each engine, and how much faster we are than PyTorch in its better layout.

    The ratio is that of the medians; in brackets are the least and the greatest ratio of two
    neighbouring batches.
    """
    seconds = {name: Series.sum_of(phases.values()) for name, phases in samples.items()}
    for name, series in seconds.items():
        mean, median = statistics.fmean(series.values), series.median
        whose = "" if name == MINIGRAD else f" in PyTorch, {name},"
        say(
            f"{now()}: {what}{whose} across {series.n} steps, {three(mean)} +/- "
            f"{three(statistics.pstdev(series.values), mean)} sec / batch "
            f"(median {three(median, mean)})"
        )
    ours, *others = seconds.values()
    if others:
        best = min(others, key=lambda series: series.median)
        ratios = best.over(ours)
        say(
            f"{what}: PyTorch takes {best.median / ours.median:.2f} times as long "
            f"({ratios.least:.2f}..{ratios.most:.2f}, n = {ours.n})"
        )


def now() -> str:
    return str(datetime.now())


def three(seconds: float, like: float | None = None) -> str:
    """With three decimals, or as many more as it (or `like`) needs to have three digits."""
    size = max(seconds if like is None else like, 1e-6)
    return f"{seconds:.{max(3, 2 - math.floor(math.log10(size)))}f}"
