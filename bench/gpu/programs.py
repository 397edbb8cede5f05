"""The stages of `bash bench/gpu.sh`, which are all programs: what is called, and what it left.

The suite is pytest's, with the GPU's tests first (`tests/conftest.py`); the training runs are those
of `alexnet train`, presets and all. Next: `__main__.py`, which calls them.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from alexnet.datasets import DatasetError, fashion_mnist_dir
from bench.gpu.results import MISSING

ROOT = Path(__file__).parents[2]
GRACE = 6.0  # seconds for a program that was interrupted to write down what it has
SHOWN = 20  # failed tests by name
PROCESSES = 6  # of the suite; they share the GPU, and compile kernels side by side
# PyTorch's convolutions use TF32 unless told not to, and so do those runs that the goals were set
# for.
FLAGS = "--device", "cuda", "--graph", "--precision", "tf32"


@dataclass(frozen=True)
class Stage:
    """A program, the seconds that it may take, and a reader of what it left in its folder.

    `command` is what follows `python -m`; {folder} in it is the folder.
    """

    name: str
    seconds: float
    command: tuple[str, ...]
    read: Callable[[Path], dict[str, Any]]


def carry_out(stage: Stage, seconds: float, folder: Path) -> dict[str, Any]:
    """Run a stage for so long at most, with its output on ours. Returns how it ended, and what it
    found; it is interrupted GRACE before its time is over, and killed when it is."""
    folder.mkdir(parents=True)
    command = [part.replace("{folder}", str(folder)) for part in stage.command]
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", *command], cwd=ROOT, start_new_session=True
    )
    ended = {"command": ["python", "-m", *stage.command], "allowed_seconds": seconds}
    try:
        status: Any = process.wait(max(seconds - GRACE, 1.0))
    except subprocess.TimeoutExpired:
        status = "out of time"
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
    finally:
        with suppress(ProcessLookupError):  # what it has started, too
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    ended |= {"status": status, "seconds": time.perf_counter() - began}
    try:
        return {**ended, "found": stage.read(folder)}
    except (OSError, ValueError, ElementTree.ParseError) as error:
        return {**ended, "found": {MISSING: f"it left no results ({error})"}}


def parts(folder: Path) -> dict[str, Any]:
    """What a stage of this package wrote."""
    return json.loads((folder / "results.json").read_text())


def suite(folder: Path) -> dict[str, Any]:
    """Of pytest's report: how many tests did what, which failed, and whether the GPU's all ran.

    A test that computes on the GPU says so, and how many of its kind there are.
    """
    outcomes: Counter[str] = Counter()
    failed, gpu, of = [], 0, 0
    for case in ElementTree.parse(folder / "suite.xml").iter("testcase"):
        kinds = {child.tag for child in case} & {"failure", "error", "skipped"}
        outcome = min(kinds, default="passed")
        outcomes[outcome] += 1
        if outcome in ("failure", "error"):
            failed.append(f"{case.get('classname')}::{case.get('name')}")
        for said in case.iter("property"):
            if said.get("name") == "of the GPU's":
                gpu, of = gpu + 1, int(said.get("value") or 0)
    return {"outcomes": dict(outcomes), "failed": failed, "on_the_gpu": gpu, "of_the_gpus": of}


def run(folder: Path) -> dict[str, Any]:
    """Of a training run: the epochs that were finished, and the test accuracy after the last."""
    lines = (folder / "run" / "metrics.jsonl").read_text().splitlines()
    epochs = [json.loads(line) for line in lines]
    return {
        "epochs": len(epochs),
        "test_acc": epochs[-1]["test_acc"],
        "seconds_an_epoch": [epoch["seconds"] for epoch in epochs],
        "images_per_second": [epoch["images_per_second"] for epoch in epochs],
    }


def pytest() -> tuple[str, ...]:
    """The suite, by several processes where pytest can."""
    several = ("-n", str(PROCESSES)) if find_spec("xdist") else ()
    report = "--junitxml={folder}/suite.xml"
    return "pytest", "-q", "-p", "no:cacheprovider", *several, report, "tests"


def training(preset: str) -> tuple[str, ...]:
    """A run by a preset, on Fashion-MNIST or else the stand-in, with these FLAGS."""
    return (
        "alexnet", "train", "--preset", preset, *FLAGS, "--dataset", dataset()[0],
        "--out", "{folder}/run",
    )  # fmt: skip


def dataset() -> tuple[str, str]:
    """What the runs train on, and the line that says so. Nothing is downloaded."""
    try:
        return "fashion-mnist", f"Fashion-MNIST in {fashion_mnist_dir(None, download=False)}"
    except DatasetError:
        return "drawn", (
            "a stand-in drawn by code, NOT Fashion-MNIST: its accuracies cannot be held against "
            "the goals (MINIGRAD_DATA=<folder> names the real one)"
        )
