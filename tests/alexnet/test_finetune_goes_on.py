"""Fine-tuning that is refused, or stopped and resumed: what it says, and what it leaves."""
# ruff: noqa: F401, F811 - fixtures

import json
import shutil

import numpy as np
import pytest
from PIL import Image

import minigrad as mg
from alexnet import checkpoint, finetune, models, train
from alexnet.__main__ import main
from alexnet.config import FineTuning
from alexnet.errors import InputError
from alexnet.finetune import renewed
from alexnet.interrupt import Interruption, Stopped
from alexnet.runs import Run
from alexnet.weights import Published
from tests.alexnet.drawing import KINDS
from tests.alexnet.finetuning import here, losses, quick, refused, weights, world

# ------------------------------------------------------------------------------ weights and flags


def test_weights_of_another_network(quick, here, capsys):
    args = "finetune", "--model", "resnet20", "--weights", "small.safetensors", "--data", "shapes"
    error = refused(capsys, *args)
    assert "small.safetensors holds the weights of another network: missing bn1.weight" in error
    assert "of another shape conv1.weight (16, 3, 5, 5) instead of (16, 3, 3, 3)" in error
    assert "Name the network that the file is of by --model" in error

    checkpoint.save_weights(models.lenet5(), here / "five.safetensors", {"model": "lenet5"})
    error = refused(capsys, *args[:4], "five.safetensors", *args[5:])
    assert "five.safetensors holds the weights of another network (it says lenet5): " in error


def test_weights_of_this_project_say_which_network_they_are_of(here, capsys, tmp_path):
    args = "finetune", "--data", "shapes", "--dry-run", "--weights"
    net = models.alexnet_small(in_channels=3)
    (tmp_path / "run").mkdir()
    (tmp_path / "run/config.json").write_text("{}")
    own = tmp_path / "run/last.safetensors"
    checkpoint.save_weights(net, own, {"model": "alexnet_small", "resize": 28})
    for path in (own, own.parent):
        assert main([*args, str(path)]) == 0
        assert "fine-tuning alexnet_small on shapes" in capsys.readouterr().out
    error = refused(capsys, *args, own, "--model", "resnet20")
    assert "holds the weights of another network (it says alexnet_small): " in error
    error = refused(capsys, *args, "small.safetensors")
    assert "small.safetensors does not say which network it is of: name it by --model" in error
    checkpoint.save_weights(net, own, {"model": "alexnet_3000"})
    assert "does not say which network" in refused(capsys, *args, own)
    assert "cannot read none.pth: No such file" in refused(capsys, *args, "none.pth")


def test_another_number_of_classes_names_the_command_that_replaces_the_head(here):
    message = r"fc5.weight \(7, 256\) instead of \(2, 256\).*let `alexnet finetune --weights` do"
    with pytest.raises(InputError, match=message):
        models.alexnet_small(weights="small.safetensors", num_classes=2, in_channels=3)


def test_published_weights_are_looked_for(capsys, here, monkeypatch, tmp_path):
    for name in ("XDG_CACHE_HOME", "TORCH_HOME", "HOME", "MINIGRAD_CACHE"):
        monkeypatch.setenv(name, str(tmp_path))
    error = refused(capsys, "finetune", "--model", "resnet50", "--data", "shapes")
    assert "put https://download.pytorch.org/models/resnet50-0676ba61.pth into" in error


def test_published_weights_are_taken_where_they_are(here, monkeypatch, tmp_path):
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    digest = checkpoint.sha256("small.safetensors")[:8]
    shutil.copy("small.safetensors", folder / f"small-{digest}.pth")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setitem(finetune.PUBLISHED, "alexnet_small", Published(f"small-{digest}.pth"))
    config = FineTuning.chosen({"model": "alexnet_small", "data_dir": "shapes"})
    net, origin = renewed(config, KINDS)
    assert origin["weights"] == str(folder / f"small-{digest}.pth")
    conv1 = mg.load("small.safetensors")["conv1.weight"].numpy()
    np.testing.assert_array_equal(net.conv1.weight.detach().numpy(), conv1)


def test_googlenet_is_built_as_its_weights_want(here, undrawn):
    """The published file wants its own colours; a frozen backbone needs no auxiliary heads."""
    state = models.googlenet(num_classes=5).state_dict()
    state["inception3a.branch1.conv.weight"].fill_(0.5)
    (here / "spare").mkdir()
    path = here / "spare/googlenet-1378be20.safetensors"
    mg.save(state, path)
    config = FineTuning.chosen({"model": "googlenet", "weights": str(path), "data_dir": "shapes"})
    net, origin = renewed(config, ["a", "b"])
    assert origin["build"] == {"aux_logits": False}
    assert net.fc.out_features == 2
    path = path.rename(here / "spare/googlenet-1378be20.pth")  # known by its name
    config = FineTuning.chosen(
        {"model": "googlenet", "weights": str(path), "data_dir": "shapes", "freeze": "none"}
    )
    net, origin = renewed(config, ["a", "b"])
    assert origin["build"] == {"aux_logits": True, "transform_input": True}
    assert net.transform_input and net.aux1.fc2.out_features == 2
    assert (origin["resize"], origin["mean"]) == (224, (0.485, 0.456, 0.406))
    assert (net.state_dict()["inception3a.branch1.conv.weight"].numpy() == 0.5).all()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "alexnet finetune needs --model and --data, or --resume RUN"),
        (["--model", "lenet5"], "alexnet finetune needs --data, or"),
        (["--model", "lenet5", "--data", "none"], "the folder of pictures none does not exist"),
        (["--model", "lenet5", "--data", "shapes"],
         "train it, and give weights=PATH (a command: --weights PATH)"),
        (["--model", "alexnet_small", "--data", "shapes", "--weights", "none.pth"],
         "cannot read none.pth: No such file"),
        (["--model", "alexnet_small", "--data", "shapes", "--augment"], "add --freeze none"),
        (["--model", "alexnet_small", "--data", "shapes", "--weights", "small.safetensors",
          "--resize", "4"], "images of 4 x 4 do not get through alexnet_small"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_in_one_line(here, capsys, args, message):
    before = sorted(here.rglob("*"))
    assert message in refused(capsys, "finetune", *args)
    assert sorted(here.rglob("*")) == before


def test_unknown_models_and_fractions_are_refused(here, capsys):
    for flags, message in (
        (["--model", "resnet5000"], "unknown model 'resnet5000'; near it: resnet50,"),
        (["--val-fraction", "1"], "must be a number between 0 and 1"),
        (["--preset", "paper"], "unrecognized arguments: --preset paper"),
        (["--crop-from", "32"], "unrecognized arguments: --crop-from 32"),
    ):
        with pytest.raises(SystemExit):
            main(["finetune", *flags])
        assert message in capsys.readouterr().err


@pytest.fixture
def spoilt(here, tmp_path):
    """The shapes, with a way to spoil the pictures of a class."""
    root = shutil.copytree(here / "shapes", tmp_path / "spoilt")

    def spoil(kind, keep=0):
        for path in sorted((root / kind).iterdir())[keep:]:
            path.write_bytes(b"spoilt")
        return root

    return spoil


def test_a_class_without_readable_pictures(quick, spoilt, capsys):
    assert quick("--out", spoilt("disc").parent / "never", data=spoilt("disc")) == 2
    error = capsys.readouterr().err
    assert "has no picture of disc to train on that can be read: 20 files were skipped" in error
    assert not (spoilt("disc").parent / "never").exists()


def test_spoilt_pictures_of_every_kind_stop_nothing(quick, spoilt, capsys, monkeypatch, tmp_path):
    root = spoilt("disc", keep=14)
    folder = root / "bars"
    Image.new("RGB", (600, 600)).save(folder / "bomb.png")
    Image.new("CMYK", (40, 40)).save(folder / "cmyk.jpg")
    Image.new("RGBA", (40, 40)).save(folder / "rgba.png")
    Image.new("P", (40, 40)).save(folder / "p.png")
    Image.fromarray(np.zeros((40, 40), np.uint16)).save(folder / "deep.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300_000)
    for freeze in ("backbone", "none"):
        assert quick("--freeze", freeze, "--out", tmp_path / freeze, data=root) == 0
        said = capsys.readouterr().out.splitlines()
        assert "skipped 7 files that cannot be used:" in said
        assert f"  {folder}/bomb.png: the picture is too large to be opened safely" in said
        config = json.loads((tmp_path / freeze / "config.json").read_text())
        assert config["data"]["train_images"] + config["data"]["test_images"] == 65 - 7


# ------------------------------------------------------------------------------ stopping, resuming


def stop_after(monkeypatch, count, *modules):
    """Press Ctrl-C so that the check with this number notices it."""

    class Impatient(Interruption):
        checks = 0

        def check(self):
            Impatient.checks += 1
            if Impatient.checks == count:
                raise Stopped

    for module in modules:
        monkeypatch.setattr(module, "Interruption", Impatient)


@pytest.mark.parametrize("freeze", ["backbone", "none"])
def test_a_run_that_was_stopped_ends_with_the_same_bits(
    quick, here, capsys, monkeypatch, tmp_path, freeze
):
    flags = ["--freeze", freeze, "--batch-size", "16"]
    assert quick(*flags, "--out", tmp_path / "straight") == 0
    with monkeypatch.context() as patch:
        stop_after(patch, 7, train)  # in the second epoch
        assert quick(*flags, "--out", tmp_path / "stopped") == 130
    said = capsys.readouterr().out
    assert f"go on with: alexnet finetune --resume {tmp_path / 'stopped'}" in said
    assert main(["train", "--resume", str(tmp_path / "stopped")]) == 2
    assert "of another command: alexnet finetune --resume" in capsys.readouterr().err
    assert main(["finetune", "--resume", str(tmp_path / "stopped"), "--freeze", "none"]) == 2
    assert "leave out --freeze" in capsys.readouterr().err
    assert main(["finetune", "--resume", str(tmp_path / "stopped")]) == 0
    a, b = weights(tmp_path / "straight"), weights(tmp_path / "stopped")
    for key in a:
        np.testing.assert_array_equal(a[key], b[key])
    straight, stopped = losses(tmp_path / "straight"), losses(tmp_path / "stopped")
    assert straight == stopped and len(straight) == 2


def test_the_network_is_written_down_once_and_the_best_head_is_not_forgotten(
    quick, here, monkeypatch, tmp_path
):
    """With a frozen backbone; the learning rate is so high that the last epoch is not the best."""
    written = []
    save = checkpoint.save_weights
    monkeypatch.setattr(
        checkpoint, "save_weights", lambda net, path, *rest: written.append(path.name)
        or save(net, path, *rest),
    )  # fmt: skip
    flags = "--epochs", 9, "--lr", 0.3, "--schedule", "constant"
    assert quick(*flags, "--out", tmp_path / "run") == 0
    assert written == ["last.safetensors", "best.safetensors"]
    rows = [json.loads(line) for line in Run(tmp_path / "run").metrics.read_text().splitlines()]
    accuracies = [row["test_acc"] for row in rows]
    best = int(np.argmax(accuracies))
    assert best < 8
    assert checkpoint.about_of(tmp_path / "run/best.safetensors")["epoch"] == best + 1
    for which, expected in (("best", rows[best]), ("last", rows[-1])):
        said = []
        monkeypatch.setattr("alexnet.evaluate.say", lambda *lines, said=said: said.extend(lines))
        assert main(["evaluate", str(tmp_path / "run"), "--weights", which]) == 0
        assert f"loss {expected['test_loss']:.4f}" in said[-1]


def test_a_run_of_an_earlier_version_goes_on(quick, here, monkeypatch, tmp_path):
    """It lists no pictures, and has settings that never applied."""
    stop_after(monkeypatch, 2, train)
    run = Run(tmp_path / "run")
    assert quick("--out", run) == 130
    run.pictures.unlink()
    run.write_config({**run.read_config(), "preset": None, "init": "own", "normalize": "standard"})
    assert main(["finetune", "--resume", str(run)]) == 0
    assert len(losses(tmp_path / "run")) == 2


def test_a_run_cannot_go_on_with_other_pictures(quick, here, capsys, monkeypatch, tmp_path):
    data = shutil.copytree(here / "shapes", tmp_path / "data")
    stop_after(monkeypatch, 2, train)
    assert quick("--out", tmp_path / "run", data=data) == 130
    for i in range(10):
        (data / f"disc/{i:03}.{('jpg', 'png')[i % 2]}").unlink()
    assert main(["finetune", "--resume", str(tmp_path / "run")]) == 2
    assert "there are 40 + 10 pictures of 3 classes, but 48 + 12 of 3" in capsys.readouterr().err


def test_a_run_cannot_go_on_with_as_many_other_pictures(
    quick, here, capsys, monkeypatch, tmp_path
):
    data = shutil.copytree(here / "shapes", tmp_path / "data")
    stop_after(monkeypatch, 2, train)
    assert quick("--out", tmp_path / "run", data=data) == 130
    (data / "disc/000.jpg").rename(data / "disc/zebra.jpg")
    error = refused(capsys, "finetune", "--resume", tmp_path / "run")
    assert "disc/000.jpg and perhaps others came, went or changed halves" in error
    (data / "disc/zebra.jpg").rename(data / "disc/000.jpg")
    moved = shutil.move(data, tmp_path / "moved")  # names are relative
    assert main(["finetune", "--resume", str(tmp_path / "run"), "--data", str(moved)]) == 0


def test_ctrl_c_while_pictures_are_read_leaves_nothing(quick, capsys, monkeypatch, tmp_path):
    stop_after(monkeypatch, 2, finetune)
    assert quick("--out", tmp_path / "run") == 130
    assert "stopped while the pictures were read" in capsys.readouterr().out
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("freeze", ["backbone", "none"])
def test_a_dry_run_writes_nothing(quick, here, capsys, freeze):
    before = sorted(here.rglob("*"))
    for seed in range(4):  # of eight pictures, none may be of some class
        assert quick("--dry-run", "--freeze", freeze, "--seed", seed, "--out", "never") == 0
    said = capsys.readouterr().out
    assert "one training step on 8 images" in said
    assert "The run would take 2 x 2 steps" in said
    assert sorted(here.rglob("*")) == before
