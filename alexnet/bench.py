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
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np

import minigrad
from alexnet import models, summary, twin
from alexnet.console import say
from alexnet.environment import choose_device
from alexnet.errors import InputError, RunError
from alexnet.train import scores_and_loss
from alexnet.twin import MINIGRAD, Side
from minigrad import nn
from minigrad.backend import Device

SMALL, LARGE = 128, 32  # images in a batch
WARM_UP = 5  # batches: memory is mapped, and workers have started
SECONDS, FEWEST, MOST = 30.0, 10, 100  # batches, where their number is left to the time they take
EVERY = 10  # batches from one line to the next
PAUSE = 0.015  # seconds between engines: OpenMP's workers spin for some 10 ms after their last job
BUSY = 0.5  # load average at the start from which a machine is not at rest

Clock = Callable[[], float]
Pass = Callable[[Clock], list[float]]  # computes a batch; the seconds of its phases


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
    how = args.batches, args.warm_up or WARM_UP
    say("")
    passes = {name: partial(forward, side, device) for name, side in sides.items()}
    report("Forward", in_turn(passes, *how))
    passes = {name: partial(training, side, labels, device) for name, side in sides.items()}
    samples = in_turn(passes, *how)
    report("Forward-backward", samples)
    first, second = (statistics.median(phase) for phase in zip(*samples[MINIGRAD], strict=True))
    say(
        f"backward takes {second / first:.2f} times as long as forward "
        f"(medians: {three(second)} and {three(first)} sec / batch)"
    )
    ours = sides[MINIGRAD]
    del sides, passes  # PyTorch's memory
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


def forward(side: Side, device: Device, clock: Clock) -> list[float]:
    """A batch as in a test."""
    side.module.eval()

    def scores(_: None) -> Any:
        with side.engine.no_grad():
            return side.module(*side.inputs)

    return timed([scores], side, device, clock)


def training(side: Side, labels: np.ndarray, device: Device, clock: Clock) -> list[float]:
    """A batch as in training, without the update: the seconds forward, and backward."""
    side.module.train()
    side.module.zero_grad()
    target = side.engine.from_numpy(labels).to(str(device))
    cross_entropy = side.engine.nn.functional.cross_entropy

    def loss(_: None) -> Any:
        return scores_and_loss(side.module(*side.inputs), target, cross_entropy)[1]

    return timed([loss, lambda loss: loss.backward()], side, device, clock)


def timed(
    phases: Sequence[Callable[[Any], Any]], side: Side, device: Device, clock: Clock
) -> list[float]:
    """The seconds of each phase, which is given what the one before it returned."""
    taken, state = [], None
    wait(side, device)
    for phase in phases:
        began = clock()
        state = phase(state)
        wait(side, device)
        taken.append(clock() - began)
    return taken


def wait(side: Side, device: Device) -> None:
    """Let the GPU finish what this engine asked for; the CPU has."""
    if device.type == "cuda":
        side.engine.cuda.synchronize()


def in_turn(
    passes: Mapping[str, Pass], batches: int | None, warm_up: int,
    clock: Clock = time.perf_counter, pause: Callable[[float], None] = time.sleep,
) -> dict[str, list[list[float]]]:  # fmt: skip
    """Time all `passes` batch by batch, each in its turn; says how it goes.

    Args:
        batches: how many; None: as many as take SECONDS by the last warm-up, FEWEST to MOST.

    Returns:
        For each name and batch the seconds of its phases.
    """
    rest = PAUSE if len(passes) > 1 else 0.0

    def once() -> dict[str, list[float]]:
        taken = {}
        for name, run in passes.items():
            pause(rest)
            taken[name] = run(clock)
        return taken

    for _ in range(warm_up):
        began = clock()
        once()
        spent = clock() - began
    if batches is None:
        batches = min(max(int(SECONDS / max(spent, 1e-9)), FEWEST), MOST)
    rounds = []
    for step in range(1, batches + 1):
        rounds.append(once())
        if step % EVERY == 0:
            ours, *others = map(math.fsum, rounds[-1].values())
            shown = [f"{name} {three(s)}" for name, s in zip([*passes][1:], others, strict=True)]
            beside = f" (PyTorch: {', '.join(shown)})" if others else ""
            say(f"{now()}: step {step}, duration = {three(ours)}{beside}")
    return {name: [taken[name] for taken in rounds] for name in passes}


# ---------------------------------------------------------------------------------- what is said


def report(what: str, samples: Mapping[str, Sequence[Sequence[float]]]) -> None:
    """A line for each engine, and how much faster we are than PyTorch in its better layout.

    The ratio is that of the medians; in brackets are the least and the greatest ratio of two
    neighbouring batches.
    """
    seconds = {name: [math.fsum(phases) for phases in batches] for name, batches in samples.items()}
    for name, values in seconds.items():
        mean, median = statistics.fmean(values), statistics.median(values)
        whose = "" if name == MINIGRAD else f" in PyTorch, {name},"
        say(
            f"{now()}: {what}{whose} across {len(values)} steps, {three(mean)} +/- "
            f"{three(statistics.pstdev(values), mean)} sec / batch (median {three(median, mean)})"
        )
    ours, *others = seconds.values()
    if others:
        best = min(others, key=statistics.median)
        ratios = [theirs / mine for theirs, mine in zip(best, ours, strict=True)]
        ratio = statistics.median(best) / statistics.median(ours)
        say(
            f"{what}: PyTorch takes {ratio:.2f} times as long "
            f"({min(ratios):.2f}..{max(ratios):.2f}, n = {len(ours)})"
        )


def now() -> str:
    return str(datetime.now())


def three(seconds: float, like: float | None = None) -> str:
    """With three decimals, or as many more as it (or `like`) needs to have three digits."""
    size = max(seconds if like is None else like, 1e-6)
    return f"{seconds:.{max(3, 2 - math.floor(math.log10(size)))}f}"
