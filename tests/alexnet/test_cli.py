"""The commands as a user runs them: as processes, and, where only the message counts, in this one.

On the real data where MINIGRAD_DATA is set, otherwise on the stand-in.
"""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from alexnet import checkpoint, datasets, drawn, report
from alexnet.__main__ import main
from alexnet.predict import read_picture

ROOT = Path(__file__).parents[2]
REAL = bool(os.environ.get("MINIGRAD_DATA"))
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")  # all but tab and line feed
ON_DRAWN = ("--dataset", "drawn", "--limit-train", "200", "--batch-size", "20")


def environment(**changes):
    fixed = {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", "TERM": "xterm"}
    return {**os.environ, **fixed, **changes}


def alexnet(*args, cwd, **changes):
    """Run the command; a finished process with its output as text."""
    command = [sys.executable, "-m", "alexnet", *map(str, args)]
    return subprocess.run(
        command, cwd=cwd, env=environment(**changes), capture_output=True, text=True, timeout=300
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where all commands of this module run."""
    return tmp_path_factory.mktemp("cli")


@pytest.fixture(scope="module")
def trained(folder):
    """The finished process of one short training run, into runs/1."""
    dataset = "fashion-mnist" if REAL else "drawn"
    return alexnet(
        "train", "--dataset", dataset, "--limit-train", 600, "--epochs", 2, "--batch-size", 20,
        cwd=folder,
    )  # fmt: skip


@pytest.fixture
def here(folder, trained, monkeypatch):
    """The folder with the run in it, as this process's own."""
    monkeypatch.chdir(folder)
    return folder


# -------------------------------------------------------------------------------------- training


def test_a_training_run_says_what_it_does(folder, trained):
    assert trained.returncode == 0
    assert trained.stderr == ""
    assert not CONTROL.search(trained.stdout)
    lines = trained.stdout.splitlines()
    name = "Fashion-MNIST" if REAL else "a stand-in drawn by code, NOT Fashion-MNIST"
    assert lines[0] == f"training alexnet_small on {name}, 2 epochs"
    said = {line.split()[0] for line in lines if line}
    assert {"device", "threads", "data", "training", "layer", "conv1", "total", "epoch"} <= said
    assert "BLAS" in lines[2]
    images = "600 training images, as many of each class, chosen by seed 0; 10,000 test images"
    assert any(line.endswith(images) for line in lines)
    rows = [line.split() for line in lines if re.match(r" *[12]/2 ", line)]
    assert len(rows) == 2
    assert lines[-1].startswith(
        "next: alexnet predict runs/1" if REAL else "these numbers are of a"
    )
    result = next(line for line in lines if line.startswith("test accuracy"))
    assert f"test accuracy {rows[1][4]} on all 10,000 test images after epoch 2" in result
    digest = next(line for line in lines if line.startswith("SHA-256 of last.safetensors"))
    assert digest.endswith(checkpoint.sha256(folder / "runs/1/last.safetensors"))


def test_a_training_run_leaves_whole_files(folder, trained):
    run = folder / "runs" / "1"
    files = {path.name for path in run.iterdir()}
    assert files == {
        "best.safetensors", "config.json", "confusion.csv", "confusion.png", "curves.png",
        "filters.png", "last.safetensors", "metrics.jsonl", "misclassified.png",
    }  # fmt: skip
    for name in files:
        if name.endswith(".png"):
            with Image.open(run / name) as picture:
                picture.load()
                assert min(picture.size) > 100
    config = json.loads((run / "config.json").read_text())
    assert config["stand_in"] is not REAL
    assert config["dataset"] == ("fashion-mnist" if REAL else "drawn")
    assert config["limit_train"] == 600
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2]
    assert 0.1 < rows[1]["test_acc"] < 1  # better than guessing


def test_evaluate_repeats_the_last_epoch(folder, trained):
    last = json.loads((folder / "runs/1/metrics.jsonl").read_text().splitlines()[-1])
    process = alexnet("evaluate", "runs/1", cwd=folder)
    assert process.returncode == 0
    assert process.stderr == ""
    line = process.stdout.splitlines()[-1]
    assert f"test accuracy {last['test_acc']:.2%}, loss {last['test_loss']:.4f}" in line
    assert "on all 10,000 test images" in line
    assert all(name in process.stdout for name in datasets.CLASSES)
    assert ("NOT Fashion-MNIST" in process.stdout) is not REAL


def test_predict_names_pictures_and_draws_them(folder, trained):
    images, _ = drawn.draw(3, train=False)
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{number}.png")
    process = alexnet("predict", "runs/1", "0.png", "1.png", "2.png", cwd=folder)
    assert process.returncode == 0
    assert process.stderr == ""
    *named, picture = [line for line in process.stdout.splitlines() if "stand-in" not in line]
    for number, line in enumerate(named):
        match = re.fullmatch(rf"{number}\.png \(28 x 28\): (.+)", line)
        assert match
        parts = match[1].split(", ")
        assert len(parts) == 3
        chances = [float(part.rsplit(" ", 1)[1].rstrip("%")) for part in parts]
        assert chances == sorted(chances, reverse=True)
        assert all(part.rsplit(" ", 1)[0] in datasets.CLASSES for part in parts)
    assert picture == "picture: runs/1/predictions.png"
    with Image.open(folder / "runs/1/predictions.png") as drawing:
        drawing.load()


def test_export_writes_what_other_programs_run(here, capsys):
    """They need no more than the file: how images are prepared, and what the classes are called."""
    process = alexnet("export", "runs/1", "here/model.onnx", cwd=here)
    assert process.returncode == 0
    assert process.stderr == ""
    assert process.stdout.splitlines()[-1] == (
        "here/model.onnx: alexnet_small after epoch 2, 0.5 MB; takes images float32 "
        "(N, 1, 28, 28), gives logits (N, 10)"
    )
    assert ("NOT Fashion-MNIST" in process.stdout) is not REAL
    session = onnxruntime.InferenceSession(here / "here/model.onnx")
    about = session.get_modelmeta().custom_metadata_map
    assert tuple(json.loads(about["classes"])) == tuple(datasets.CLASSES)
    assert json.loads(about["input_shape"]) == [1, 28, 28]
    images, _ = drawn.draw(3, train=False)
    for number, image in enumerate(images):
        Image.fromarray(image).save(here / f"{number}.png")
    pixels = (images[:, None] / 255.0 - float(about["mean"])) / float(about["std"])
    (logits,) = session.run(None, {"images": pixels.astype(np.float32)})
    assert main(["predict", "runs/1", "0.png", "1.png", "2.png", "--out", "seen.png"]) == 0
    said = capsys.readouterr().out
    for number, row in enumerate(logits):
        name, chance = datasets.CLASSES[row.argmax()], np.exp(row.max()) / np.exp(row).sum()
        assert f"{number}.png (28 x 28): {name} {chance:.1%}" in said


def test_info(folder, trained):
    process = alexnet("info", cwd=folder)
    assert process.returncode == 0
    said = dict(line.split(maxsplit=1) for line in process.stdout.splitlines() if line)
    assert said["numpy"] == np.__version__
    assert {
        "python",
        "minigrad",
        "pillow",
        "threads",
        "BLAS",
        "GPU",
        "Fashion-MNIST",
        "onnx",
        "onnxruntime",
    } <= said.keys()
    if REAL:
        assert said["Fashion-MNIST"].startswith(os.environ["MINIGRAD_DATA"])


def test_info_says_how_to_get_what_is_missing(tmp_path):
    missing = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "MINIGRAD_DATA": ""}
    process = alexnet("info", cwd=tmp_path, **missing)
    assert process.returncode == 0
    assert "Fashion-MNIST  not on this machine" in process.stdout
    assert "--data-dir or MINIGRAD_DATA" in process.stdout


# ----------------------------------------------------------------------------- Ctrl-C, terminals


# The command with fewer test images and without pictures, which `trained` has all of. The third
# step of the second epoch waits until nobody will write to stdin any more.
LIGHT = """
import sys
from alexnet import __main__, drawn, report
from alexnet.train import Trainer

drawn.TEST_SIZE = 500
for name in ("curves", "confusion", "misclassified", "filters"):
    setattr(report, f"save_{name}", lambda *args: None)

step = Trainer.train_step

def waiting(trainer, *batch):
    if (trainer.epoch, trainer.step) == (2, 2):
        print("waiting")
        sys.stdin.read()
    return step(trainer, *batch)

Trainer.train_step = waiting
sys.exit(__main__.main())
"""


def start(*args, cwd, how=("-m", "alexnet"), **options):
    command = [sys.executable, "-u", *how, *map(str, args)]
    return subprocess.Popen(command, cwd=cwd, env=environment(), text=True, **options)


def wait_for(process, text):
    """Read the output of `process` until a line with `text` has come."""
    for line in process.stdout:
        if text in line:
            return
    raise AssertionError(f"the process ended without saying {text!r}")


def test_ctrl_c_saves_and_the_resumed_run_ends_with_the_same_bits(tmp_path, monkeypatch):
    monkeypatch.setattr(drawn, "TEST_SIZE", 500)
    for name in ("curves", "confusion", "misclassified", "filters"):
        monkeypatch.setattr(report, f"save_{name}", lambda *args: None)
    flags = ("train", *ON_DRAWN, "--epochs", "2", "--out")
    assert main([*flags, str(tmp_path / "straight")]) == 0

    light = {"cwd": tmp_path, "how": ("-c", LIGHT)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with start(*flags, "stopped", **light, **pipes) as process:
        wait_for(process, " 1/2 ")  # the row of the first epoch: the second is going on
        wait_for(process, "waiting")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "finishing this step; Ctrl-C again stops at once" in err
    assert "Traceback" not in err
    assert "with everything saved; go on with: alexnet train --resume stopped" in out

    pipes["stdin"] = subprocess.DEVNULL
    with start("train", "--resume", "stopped", **light, **pipes) as process:
        out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    assert "going on with stopped in epoch 2" in out
    assert "waiting" not in out  # that step was taken
    hashes = {
        checkpoint.sha256(tmp_path / run / "last.safetensors") for run in ("straight", "stopped")
    }
    assert len(hashes) == 1


def test_on_a_terminal_there_is_a_bar_and_rows_stay(tmp_path):
    """stderr is a terminal here, stdout a file: the bar must not reach the file."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    with open(tmp_path / "out.txt", "w") as out:
        process = start("train", *ON_DRAWN, "--epochs", 1, "--out", "run", cwd=tmp_path,
                        how=("-c", LIGHT), stdout=out, stderr=theirs)  # fmt: skip
        os.close(theirs)
        shown = read_terminal(ours, process)
    assert process.returncode == 0
    assert re.search(r"epoch 1/1 +\d+%\|", shown)
    assert re.search(r"images/s, \d\d:\d\d left", shown)
    assert re.search(r"loss \d\.\d{3} \(avg \d\.\d{3}\), acc \d+\.\d%, lr ", shown)
    assert "epoch 1/1 testing" in shown
    text = (tmp_path / "out.txt").read_text()
    assert not CONTROL.search(text)
    assert re.search(r"^ +1/1 ", text, re.MULTILINE)


def read_terminal(handle, process):
    """Everything that is written to a terminal until the process has ended."""
    shown = b""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if select.select([handle], [], [], 0.2)[0]:
            try:
                shown += os.read(handle, 65536)
            except OSError:  # the other end was closed
                break
        elif process.poll() is not None:
            break
    process.wait(timeout=60)
    os.close(handle)
    return shown.decode()


def test_a_closed_pipe_is_no_crash(tmp_path):
    """As in `alexnet info | head -1`."""
    process = start("info", cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    error = process.stderr.read()
    process.wait(timeout=60)
    process.stderr.close()
    assert error == ""


# -------------------------------------------------------------------------------------- bad input


def refused(capsys, *args):
    """The one line with which the command refuses `args`."""
    try:
        code = main([str(arg) for arg in args])
    except SystemExit as exit:  # argparse
        code = exit.code
    captured = capsys.readouterr()
    assert code == 2
    lines = captured.err.splitlines()
    assert len(lines) == 1
    return lines[0]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["fly"], "invalid choice: 'fly'"),
        (["train", "--model", "lenet"], "--model: unknown model 'lenet'; near it: lenet5,"),
        (["train", "--optimizer", "rmsprop"], "argument --optimizer: invalid choice"),
        (["train", "--schedule", "linear"], "argument --schedule: invalid choice"),
        (["train", "--dataset", "cifar"], "argument --dataset: invalid choice"),
        (["train", "--device", "tpu"], "argument --device: invalid choice"),
        (["train", "--epochs", "0"], "--epochs: must be an integer of at least 1, got '0'"),
        (["train", "--epochs", "two"], "must be an integer of at least 1, got 'two'"),
        (["train", "--batch-size", "1.5"], "must be an integer of at least 1, got '1.5'"),
        (["train", "--lr", "0"], "argument --lr: must be a number above 0, got '0'"),
        (["train", "--lr", "nan"], "argument --lr: must be a number above 0, got 'nan'"),
        (["train", "--momentum", "1"], "argument --momentum: must be a number from 0 up to"),
        (["train", "--weight-decay", "-1"], "--weight-decay: must be a number of at least 0"),
        (["train", "--seed", "-1"], "argument --seed: must be an integer of at least 0"),
        (["train", "--resize", "0"], "argument --resize: must be an integer of at least 1"),
        (["train", "--full", "--limit-train", "10"], "--full takes all training images"),
        (["train", "--limit-train", "70000", "--dataset", "drawn"], "70,000 training images were"),
        (["train", "--data-dir", "nowhere"], "nowhere (the data directory) is not an exist"),
        (["train", "--dataset", "fashion-mnist", "--data-dir", "."], "lacks train-images-idx3"),
        (["train", "--dataset", "drawn", "--limit-train", "10", "--model", "alexnet_d2l"],
         "the size reaches 0 in layer 5 (MaxPool2d) ... alexnet train --model alexnet_d2l --resize "
         "224"),
        (["train", "--colour", "red"], "unrecognized arguments: --colour red"),
        (["summary", "vgg"], "MODEL: unknown model 'vgg'; near it: vgg19, vgg16, vgg13; there are"),
        (["evaluate", "nowhere"], "nowhere is no run folder: it does not exist"),
        (["evaluate", "."], ". is no run folder: it has no config.json"),
        (["predict", "nowhere", "x.png"], "nowhere is no run folder"),
        (["predict", "runs/1"], "the following arguments are required: IMAGE"),
        (["export", "nowhere", "m.onnx"], "nowhere is no run folder"),
        (["export", "runs/1"], "the following arguments are required: FILE.onnx"),
        (["export", "runs/1", "."], ". is a folder: name the file to write, such as model.onnx"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_in_one_line(
    capsys, tmp_path, monkeypatch, undrawn, args, message
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(drawn, "TEST_SIZE", 10)
    error = refused(capsys, *args)
    assert all(part in error for part in message.split(" ... "))
    assert list(tmp_path.iterdir()) == []


def test_a_bad_flag_as_a_process(tmp_path):
    process = alexnet("train", "--lr", "x", cwd=tmp_path)
    assert process.returncode == 2
    assert process.stdout == ""
    assert process.stderr == (
        "alexnet train: argument --lr: must be a number above 0, got 'x' "
        "(alexnet train --help lists what there is)\n"
    )


def test_pictures_that_are_none(capsys, here):
    Path("text.png").write_text("this is no picture")
    Path("empty.jpg").write_bytes(b"")
    Image.new("L", (64, 64), 255).save("whole.png")
    Path("half.png").write_bytes(Path("whole.png").read_bytes()[:-40])
    Path("folder.png").mkdir(exist_ok=True)
    Path("bomb.png").write_bytes(bomb())
    before = Path("runs/1/predictions.png").stat().st_mtime_ns
    for name, message in (
        ("absent.png", "absent.png: there is no such file"),
        ("text.png", "text.png: not a picture that can be read"),
        ("empty.jpg", "empty.jpg: not a picture that can be read"),
        ("half.png", "half.png: not a picture that can be read"),
        ("folder.png", "folder.png: not a picture that can be read"),
        ("bomb.png", "bomb.png: the picture is too large to be opened safely"),
    ):
        assert message in refused(capsys, "predict", "runs/1", "whole.png", name)
    assert Path("runs/1/predictions.png").stat().st_mtime_ns == before


def bomb():
    """A PNG of a few bytes that claims to be 60,000 x 60,000."""
    import struct
    import zlib

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def test_weights_of_another_network(capsys, here):
    arrays, about = checkpoint.read("runs/1/last.safetensors")
    checkpoint.write("other.safetensors", arrays, {**about, "num_classes": 7})
    error = refused(capsys, "evaluate", "other.safetensors")
    assert "other.safetensors holds the weights of another network" in error
    assert "of another shape" in error
    assert "(10," in error
    Path("text.safetensors").write_text("no weights")
    assert "is no safetensors file" in refused(capsys, "evaluate", "text.safetensors")


def test_a_run_without_weights(capsys, here):
    Path("begun").mkdir(exist_ok=True)
    Path("begun/config.json").write_text("{}")
    assert "no epoch of this run was finished" in refused(capsys, "evaluate", "begun")


def test_export_leaves_no_half_file(capsys, here, monkeypatch):
    """Where it cannot write, and where onnx is not installed."""
    Path("in the way").write_text("older")
    assert main(["export", "runs/1", "in the way/m.onnx"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "in the way" in lines[0]
    monkeypatch.setitem(sys.modules, "onnx", None)
    said = refused(capsys, "export", "runs/1", "in the way")
    assert said == 'alexnet: the library onnx is not installed: pip install "minigrad[onnx]"'
    assert Path("in the way").read_text() == "older"


def test_cuda_without_a_gpu_says_what_to_do(capsys, tmp_path, monkeypatch):
    from minigrad import backend

    monkeypatch.setattr(backend, "cuda_problem", lambda: "there is none: buy one")
    monkeypatch.setattr(drawn, "TEST_SIZE", 10)
    error = refused(capsys, "train", "--device", "cuda", *ON_DRAWN)
    assert error == "alexnet: --device cuda: there is none: buy one"


def test_a_defect_is_one_line_and_the_traceback_on_request(capsys, monkeypatch):
    from alexnet import info

    def broken(args):
        raise KeyError("oops")

    monkeypatch.setattr(info, "command", broken)
    monkeypatch.delenv("MINIGRAD_DEBUG", raising=False)
    assert main(["info"]) == 1
    assert capsys.readouterr().err == (
        "alexnet: unexpected KeyError: 'oops'; MINIGRAD_DEBUG=1 shows where\n"
    )
    monkeypatch.setenv("MINIGRAD_DEBUG", "1")
    assert main(["info"]) == 1
    assert "Traceback (most recent call last)" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [[], ["train"], ["finetune"], ["evaluate"], ["predict"], ["export"], ["summary"], ["bench"],
     ["info"]],
)  # fmt: skip
def test_help(capsys, command):
    with pytest.raises(SystemExit) as exit:
        main([*command, "--help"])
    assert exit.value.code == 0
    assert "usage: alexnet" in capsys.readouterr().out


# ------------------------------------------------------------------- pictures, as the network sees


def garment(size=(400, 200), where=(100, 20, 300, 180), ink=40, paper=250):
    """A dark rectangle on light paper: arrays are (H, W)."""
    picture = np.full(size, paper, np.uint8)
    top, left, bottom, right = where
    picture[top:bottom, left:right] = ink
    return picture


def test_a_photograph_becomes_light_on_black_in_the_middle(tmp_path):
    Image.fromarray(garment()).save(tmp_path / "photo.png")
    image, said = read_picture(str(tmp_path / "photo.png"))
    assert said == "200 x 400, light background: inverted"
    assert image.shape == (28, 28)
    assert image.dtype == np.uint8
    rows, columns = np.flatnonzero(image.max(axis=1) > 100), np.flatnonzero(image.max(axis=0) > 100)
    assert (rows[0], rows[-1]) == (0, 27)  # 200 pixels long: the longer side fills the square
    assert (columns[0], columns[-1]) == (3, 24)  # 160 wide: 22 of 28
    assert image[14, 14] == 255 - 40
    assert image[14, 0] == 255 - 250


def test_inverting_can_be_chosen(tmp_path):
    path = str(tmp_path / "photo.png")
    Image.fromarray(garment()).save(path)
    dark, light = read_picture(path, "no")[0], read_picture(path, "yes")[0]
    np.testing.assert_array_equal(dark, 255 - light)
    np.testing.assert_array_equal(read_picture(path, "auto")[0], light)
    Image.fromarray(255 - garment()).save(path)
    np.testing.assert_array_equal(read_picture(path, "auto")[0], light)


def test_a_picture_of_fashion_mnist_is_left_as_it_is(tmp_path):
    image = drawn.draw(1, train=False)[0][0]
    Image.fromarray(image).save(tmp_path / "x.png")
    np.testing.assert_array_equal(read_picture(str(tmp_path / "x.png"))[0], image)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"])
def test_pictures_of_every_mode(tmp_path, mode):
    grey = Image.fromarray(garment())
    suffix = "tif" if mode in ("CMYK", "F", "I;16", "1") else "png"
    if mode == "I;16":
        picture = Image.fromarray(garment().astype(np.uint16) * 257)
    else:
        picture = grey.convert(mode)
    picture.save(tmp_path / f"x.{suffix}")
    image, said = read_picture(str(tmp_path / f"x.{suffix}"))
    assert "inverted" in said
    assert abs(int(image[14, 14]) - (255 - 40)) <= (40 if mode == "1" else 8)


def test_transparent_parts_are_paper(tmp_path):
    picture = np.zeros((60, 60, 4), np.uint8)  # black, and transparent but for the middle
    picture[20:40, 10:50] = 90, 90, 90, 255
    Image.fromarray(picture).save(tmp_path / "x.png")
    image, said = read_picture(str(tmp_path / "x.png"))
    assert "inverted" in said
    assert image[14, 14] == 255 - 90
    assert image[0, 0] == 0


def test_the_camera_was_held_sideways(tmp_path):
    picture = Image.fromarray(garment((100, 300), (30, 20, 60, 280)))
    exif = picture.getexif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    picture.save(tmp_path / "x.jpg", exif=exif)
    image, said = read_picture(str(tmp_path / "x.jpg"))
    assert said.startswith("100 x 300")
    lit = image > 100
    assert lit.any(axis=1).sum() > lit.any(axis=0).sum()  # it stands now


def test_an_empty_picture_is_still_a_picture(tmp_path):
    Image.new("L", (1, 500), 255).save(tmp_path / "x.png")
    image, _ = read_picture(str(tmp_path / "x.png"))
    np.testing.assert_array_equal(image, np.zeros((28, 28)))
