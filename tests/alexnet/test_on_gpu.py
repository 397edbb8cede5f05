"""`alexnet train` on a GPU: what the CPU computes, without a wait in any step, as a graph or not.

On a GPU, or on the stand-in for one, and so on very few images.
"""

from __future__ import annotations

import re

import numpy as np
import pytest

from alexnet import checkpoint, datasets, drawn, on_gpu, report
from alexnet.__main__ import main
from minigrad.cuda import graphs
from tests.alexnet.test_train import metrics, stop_after
from tests.conftest import no_waiting, on_cuda

FLAGS = ["--epochs", "2", "--batch-size", "2", "--lr", "0.01", "--augment"]
LENET = [*FLAGS, "--model", "lenet5"]


@pytest.fixture
def alexnet_train(tmp_path, monkeypatch):
    """`alexnet train` with these flags on five images, without the pictures; its rows and hash."""
    images, labels = drawn.draw(5, train=True)
    splits = datasets.Splits(
        name="drawn", train_images=images, train_labels=labels, train_indices=np.arange(5),
        test_images=images[:3], test_labels=labels[:3], classes=datasets.CLASSES, mean=drawn.MEAN,
        std=drawn.STD, source="a few drawn images", stand_in=True,
    )  # fmt: skip
    monkeypatch.setattr(datasets, "load", lambda *args, **options: splits)
    monkeypatch.chdir(tmp_path)
    for name in ("curves", "confusion", "misclassified", "filters"):
        monkeypatch.setattr(report, f"save_{name}", lambda *args: None)

    def run(*flags, code=0):
        assert main(["train", *map(str, flags)]) == code
        folder = tmp_path / flags[-1]
        if code:
            return None
        return metrics(folder), checkpoint.sha256(folder / "last.safetensors")

    return run


@pytest.fixture
def no_step_waits(device, monkeypatch):
    """A step that looks at a number of the GPU fails."""
    learn = on_gpu.OnGpu.learn

    def guarded(self, count):
        with no_waiting():
            return learn(self, count)

    monkeypatch.setattr(on_gpu.OnGpu, "learn", guarded)


@on_cuda
def test_a_graph_changes_no_bit(alexnet_train, no_step_waits, monkeypatch, capsys):
    """AlexNet with its dropout, a rate that changes each step, a short last batch, two epochs."""
    launched = []
    launch = graphs.Recording.launch
    monkeypatch.setattr(
        graphs.Recording, "launch", lambda *args: launched.append(1) or launch(*args)
    )
    plain = alexnet_train(*FLAGS, "--device", "cuda", "--out", "plain")
    assert "graph" not in capsys.readouterr().out and not launched
    graph = alexnet_train(*FLAGS, "--device", "cuda", "--graph", "--out", "graph")
    assert "graph     a step is captured once, then launched as a whole" in capsys.readouterr().out
    assert len(launched) == 2  # of 4 steps on two images; those on one are two, and warm up
    assert graph == plain


@on_cuda
def test_the_gpu_computes_what_the_cpu_does(alexnet_train, no_step_waits, monkeypatch):
    """Also where the sums are read in between."""
    here, _ = alexnet_train(*LENET, "--device", "cpu", "--out", "cpu")
    there, digest = alexnet_train(*LENET, "--device", "cuda", "--out", "cuda")
    for mine, right in zip(there, here, strict=True):
        assert mine == pytest.approx(right, rel=1e-4)
    monkeypatch.setattr(on_gpu, "READ", 2)
    assert alexnet_train(*LENET, "--device", "cuda", "--out", "read") == (there, digest)


@on_cuda
def test_a_run_stops_between_steps_and_goes_on(alexnet_train, device, monkeypatch, capsys):
    straight = alexnet_train(*LENET, "--device", "cuda", "--out", "straight")
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        alexnet_train(*LENET, "--device", "cuda", "--out", "stopped", code=130)
    assert alexnet_train("--resume", "stopped") == straight
    assert "going on with stopped in epoch 1 after 2 steps" in capsys.readouterr().out


@on_cuda
def test_a_loss_that_is_not_finite_stops_the_run(alexnet_train, device, capsys):
    flags = (*LENET, "--lr", "1e30", "--schedule", "constant", "--device", "cuda", "--out", "run")
    alexnet_train(*flags, code=1)
    error = capsys.readouterr().err
    assert re.search(r"the loss became \w+ in epoch 1 after step 3: \w+ \(\w+\): its ", error)
    assert "no epoch was finished, so no weights were kept" in error


def test_on_the_cpu_a_graph_is_declined_in_one_line(alexnet_train, capsys):
    alexnet_train(*LENET, "--device", "cpu", "--graph", "--epochs", 1, "--out", "run")
    said = [line for line in capsys.readouterr().out.splitlines() if "graph" in line]
    assert said == ["graph     none: graphs need a GPU, and this run goes without"]
