"""Training on a GPU: what the CPU computes, without a wait in any step, as a graph or not.

On a GPU, or on the stand-in for one, and so on very few images.
"""
# ruff: noqa: F401, F811 - fixtures

from __future__ import annotations

import re

import numpy as np
import pytest

from alexnet import checkpoint, checks, datasets, drawn, report, steps
from alexnet.__main__ import main
from minigrad import nn
from minigrad.cuda import graphs
from tests.alexnet.drawing import draw_folder
from tests.alexnet.finetuning import here, quick, world
from tests.alexnet.test_train import metrics, stop_after
from tests.conftest import no_waiting, on_cuda, waiting

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
    """An epoch that looks at a number of the GPU fails, but where the sums are read."""
    epoch, read, reads = steps.Steps.epoch, steps.Steps.read, []

    def guarded(*args):
        with no_waiting():
            epoch(*args)

    def allowed(*args):
        reads.append(args)
        with waiting():
            read(*args)

    monkeypatch.setattr(steps.Steps, "epoch", guarded)
    monkeypatch.setattr(steps.Steps, "read", allowed)
    return reads


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
    monkeypatch.setattr(steps, "READ", 2)
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
    """When the sums are read, and with the step after which it was, which the CPU says at once."""
    flags = (*LENET, "--lr", "1e30", "--schedule", "constant")
    said = []
    for name in ("cpu", "cuda"):
        alexnet_train(*flags, "--device", name, "--out", name, code=1)
        error = capsys.readouterr().err
        broke = r"the loss became \w+ in epoch 1 after step (\d): \w+ \(\w+\): its "
        said.append(re.search(broke, error)[1])
        assert "no epoch was finished, so no weights were kept" in error
    assert said[0] == said[1] < "3"


@on_cuda
def test_data_that_do_not_stay_give_the_same_bits(alexnet_train, no_step_waits, monkeypatch):
    """Moved to the GPU batch by batch, without a wait; as a graph, too."""
    stays = alexnet_train(*LENET, "--device", "cuda", "--out", "stays")
    monkeypatch.setattr(steps, "can_stay", lambda *args: False)
    monkeypatch.setattr(steps, "Resident", None)
    for flags in ([], ["--graph"]):
        out = f"moved{len(flags)}"
        assert alexnet_train(*LENET, "--device", "cuda", *flags, "--out", out) == stays
    assert len(no_step_waits) == 6  # two epochs each


@on_cuda
@pytest.mark.parametrize("freeze", ["backbone", "none"])
def test_fine_tuning_waits_for_nothing(quick, no_step_waits, tmp_path, monkeypatch, freeze):
    """And computes what the CPU does."""
    monkeypatch.setattr(nn.Dropout, "forward", lambda layer, x: x)  # which differs by device
    draw_folder(tmp_path / "few", 3)
    flags = ["--freeze", freeze, "--batch-size", 4]
    for name in ("cpu", "cuda"):
        assert quick(*flags, "--device", name, "--out", tmp_path / name, data=tmp_path / "few") == 0
    assert len(no_step_waits) == 2 + 2 * 2  # on the CPU the sums are read after each step
    here, there = (metrics(tmp_path / name) for name in ("cpu", "cuda"))
    for mine, right in zip(there, here, strict=True):
        assert mine == pytest.approx(right, rel=1e-3)


@on_cuda
@pytest.mark.parametrize("check", ["--dry-run", "--overfit-batch"])
def test_a_check_captures_nothing_and_says_so(alexnet_train, device, monkeypatch, capsys, check):
    monkeypatch.setattr(checks, "TARGET_LOSS", 100)
    monkeypatch.setattr(graphs.Graphed, "__call__", None)
    assert main(["train", *LENET, "--device", "cuda", "--graph", check]) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if "graph" in line]
    why = "whose steps run as they are; only a run captures them"
    assert said == [f"graph     none in this check, {why}"]


def test_on_the_cpu_a_graph_is_declined_in_one_line(alexnet_train, capsys):
    alexnet_train(*LENET, "--device", "cpu", "--graph", "--epochs", 1, "--out", "run")
    said = [line for line in capsys.readouterr().out.splitlines() if "graph" in line]
    assert said == ["graph     none: graphs need a GPU, and this run goes without"]


@on_cuda
def test_fine_tuning_twice_gives_the_same_bits(quick, device, tmp_path):
    draw_folder(tmp_path / "few", 3)
    hashes = set()
    for name in ("first", "second"):
        flags = ["--freeze", "none", "--device", "cuda", "--out", tmp_path / name]
        assert quick(*flags, "--epochs", 1, data=tmp_path / "few") == 0
        hashes.add(checkpoint.sha256(tmp_path / name / "last.safetensors"))
    assert len(hashes) == 1
