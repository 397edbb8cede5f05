"""What tests of fine-tuning share: a folder of shapes, the command on it, and what a run left."""

import json

import pytest

import minigrad as mg
from alexnet import folders, models, report
from alexnet.__main__ import main
from alexnet.config import FineTuning
from alexnet.finetune import Tuner, renewed
from alexnet.runs import Run
from tests.alexnet.drawing import draw_folder


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """shapes/ with 20 pictures of each of three classes, small.safetensors: weights of
    alexnet_small for 3 channels and 7 classes, as they begin."""
    folder = tmp_path_factory.mktemp("finetune")
    draw_folder(folder / "shapes", 20)
    mg.manual_seed(0)
    net = models.alexnet_small(num_classes=7, in_channels=3)
    mg.save(net.state_dict(), folder / "small.safetensors")
    return folder


@pytest.fixture
def here(world, monkeypatch):
    monkeypatch.chdir(world)
    return world


@pytest.fixture
def quick(here, monkeypatch):
    """The command on the shapes, without the drawings, which take longer than the training."""
    for name in ("curves", "confusion", "misclassified", "filters"):
        monkeypatch.setattr(report, f"save_{name}", lambda *args: None)
    flags = ("--model", "alexnet_small", "--weights", "small.safetensors", "--epochs", "2")
    return lambda *more, data="shapes": main(
        ["finetune", *flags, "--data", str(data), *map(str, more)]
    )


def tuner(**settings):
    """What reads the shapes for alexnet_small with its untrained weights, and what it will read."""
    given = {"model": "alexnet_small", "weights": "small.safetensors", "data_dir": "shapes"}
    config = FineTuning.chosen({**given, "epochs": 3, "resize": 28, **settings})
    found = folders.halves(config.data_dir, config.val_fraction, config.seed)
    mg.manual_seed(0)
    net, origin = renewed(config, found.classes)
    return Tuner(config, net, origin, mg.device("cpu"), Run.planned(None)), found


def weights(run):
    """What the last weights of a run are."""
    return {key: tensor.numpy() for key, tensor in mg.load(f"{run}/last.safetensors").items()}


def losses(run):
    """The test loss of each epoch."""
    return [json.loads(line)["test_loss"] for line in Run(run).metrics.read_text().splitlines()]


def refused(capsys, *args):
    """The one line of a command that is refused."""
    assert main([str(arg) for arg in args]) == 2
    out, err = capsys.readouterr()
    assert err.count("\n") == 1
    return err
