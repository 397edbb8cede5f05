"""Fine-tuning: what is learned, what is frozen, and what is computed once.

How it can go wrong, stop and go on is in `test_finetune_goes_on.py`.
"""
# ruff: noqa: F401, F811 - fixtures

import csv
import json
import re
import shutil

import numpy as np
import pytest

import minigrad as mg
from alexnet import checkpoint, finetune, folders, interchange, models
from alexnet.__main__ import main
from alexnet.config import FineTuning
from alexnet.finetune import end_of, features, heads_of
from alexnet.interrupt import Interruption
from alexnet.runs import Run
from minigrad import nn
from tests.alexnet.drawing import KINDS, draw_folder
from tests.alexnet.finetuning import here, losses, quick, refused, tuner, weights, world
from tests.alexnet.interchange import judge
from tests.alexnet.test_cli import alexnet

# ------------------------------------------------------------------------------------ a whole run


def test_shapes_are_learned_from_the_weights_of_an_earlier_run(quick, here, capsys):
    """First all of the network, on three classes; then a new head, on flat names, as a process."""
    assert quick("--freeze", "none", "--lr", 0.003, "--epochs", 8, "--out", "first") == 0
    first = capsys.readouterr().out
    assert "backbone  trained along" in first
    assert "batches of 32, cut at random places, mirrored at random" in first
    last = json.loads((here / "first/metrics.jsonl").read_text().splitlines()[-1])
    assert last["test_acc"] > 0.9
    assert Run.existing("first").read_config()["crop_from"] == 32
    assert main(["evaluate", "first"]) == 0  # on the middle of what was cropped at random
    assert f"test accuracy {last['test_acc']:.2%}, loss {last['test_loss']:.4f}" in (
        capsys.readouterr().out
    )

    (here / "flat").mkdir()
    for path in draw_folder(here / "new", 15, ("bars", "frame"), seed=5).rglob("*.*"):
        shutil.copy(path, here / "flat" / f"{path.parent.name}.{path.name}")
    (here / "flat/disc.jpg").write_bytes(b"")
    (here / "flat/frame.99.jpg").write_bytes(b"not a picture")
    for name in ("bars.77.gif", "frame.78.gif", "notes.txt", ".hidden"):
        (here / "flat" / name).write_bytes(b"")
    second = alexnet(
        "finetune", "--model", "alexnet_small", "--weights", "first",
        "--data", "flat", "--out", "second", cwd=here,
    )  # fmt: skip
    assert (second.returncode, second.stderr) == (0, "")
    said = second.stdout.splitlines()
    assert said[0] == "fine-tuning alexnet_small on flat, 20 epochs"
    assert "          new head fc5 for 2 classes: bars, frame" in said
    assert "frozen: its 256 features of each picture are computed once" in second.stdout
    assert "31 x 1,024 bytes = 0.0 MB" in second.stdout
    assert "          left out, not named as pictures: 2 .gif, 1 .txt" in said
    assert "skipped 2 files that cannot be used:" in said
    assert "  flat/disc.jpg: its name says no class" in said
    assert said[-1] == "skipped 2 files: see second/skipped.csv"
    rows = [line.split() for line in said if re.match(r" *\d+/20 ", line)]
    assert [row[0] for row in rows] == [f"{i}/20" for i in range(1, 21)]
    assert float(rows[-1][4].rstrip("%")) > 90

    assert {path.name for path in (here / "second").iterdir()} == {
        "best.safetensors", "config.json", "confusion.csv", "confusion.png", "curves.png",
        "filters.png", "last.safetensors", "metrics.jsonl", "misclassified.png", "pictures.csv",
        "skipped.csv",
    }  # fmt: skip
    with open(here / "second/skipped.csv", newline="") as file:
        skipped = list(csv.reader(file))
    assert skipped[0] == ["file", "reason"]
    assert [file for file, _ in skipped[1:]] == ["flat/disc.jpg", "flat/frame.99.jpg"]
    config = json.loads((here / "second/config.json").read_text())
    assert (config["freeze"], config["resize"], config["skipped"]) == ("backbone", 28, 2)
    assert not {"preset", "limit_train", "init", "normalize", "lighting", "ten_crop"} & {*config}
    assert config["weights"] == "first/last.safetensors"  # the file, though the run was named
    assert config["data"]["classes"] == ["bars", "frame"]
    backbone = {k: v for k, v in weights("first").items() if not k.startswith("fc5.")}
    for key, value in weights("second").items():  # unchanged, to the bit
        if key in backbone:
            np.testing.assert_array_equal(value, backbone[key])


@pytest.fixture
def run(quick, here):
    """A finished run in a folder of its own."""
    out = Run.planned(None)
    assert quick("--out", out, "--epochs", 20) == 0
    yield out
    shutil.rmtree(out.folder)


def test_evaluate_and_predict_go_on_from_there(run, here, capsys):
    last = json.loads(run.metrics.read_text().splitlines()[-1])
    capsys.readouterr()
    assert main(["evaluate", str(run)]) == 0
    said = capsys.readouterr().out
    assert "testing alexnet_small on pictures in shapes" in said
    assert f"test accuracy {last['test_acc']:.2%}, loss {last['test_loss']:.4f}, on all 12" in said

    draw_folder(here / "others", 6, ("disc", "frame"), seed=9)
    (here / "others/disc/broken.png").write_bytes(b"")
    assert main(["evaluate", str(run), "--data-dir", "others", "--weights", "best"]) == 0
    said = capsys.readouterr().out
    assert "on all 12 test images of pictures in others" in said
    assert "  others/disc/broken.png: not a picture" in said
    assert main(["evaluate", str(run), "--dataset", "drawn"]) == 2
    assert "leave out --dataset" in capsys.readouterr().err

    pictures = ["shapes/disc/000.jpg", "shapes/frame/001.png"]
    assert main(["predict", str(run), *pictures, "--out", "seen.png"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for line, name in zip(lines, ("disc", "frame"), strict=False):
        assert re.fullmatch(rf"shapes/.* \(the middle of it\): {name} .*%, .*%, .*%", line)
    assert main(["predict", str(run), "others/disc/broken.png"]) == 2
    assert "others/disc/broken.png: not a picture that can be read" in capsys.readouterr().err


def test_evaluate_tests_on_the_pictures_that_the_run_was_tested_on(quick, here, capsys, tmp_path):
    """Of those that came since, none; of those that went, one line. Names may be anything."""
    data = shutil.copytree(here / "shapes", tmp_path / "data")
    strange = "new\nline, \udcff.png"  # a name that is no UTF-8
    for kind in KINDS:
        for i in range(5):
            shutil.copy(data / kind / "001.png", data / kind / f"{i}{strange}")
    assert quick("--out", tmp_path / "run", data=data) == 0
    pictures = Run(tmp_path / "run").read_pictures()
    assert {p.half for p in pictures} == {"train", "test"} and len(pictures) == 75
    assert all((data / p.file).is_file() and p.file.startswith(p.class_name) for p in pictures)
    test = [p.file for p in pictures if p.half == "test"]
    assert len(test) == 15 and any(strange in file for file in test)

    for i in range(30):  # the split would be another one
        shutil.copy(data / "disc/000.jpg", data / f"disc/00{i:03}.jpg")
    capsys.readouterr()
    seen = f"loss {losses(tmp_path / 'run')[-1]:.4f}, on all 15"
    assert main(["evaluate", str(tmp_path / "run")]) == 0
    said = capsys.readouterr().out
    assert seen in said and "gone" not in said
    assert main(["evaluate", str(tmp_path / "run"), "--data-dir", str(data)]) == 0
    assert "on all 105 test images" in capsys.readouterr().out

    gone = next(file for file in test if strange in file)
    (data / gone).rename(data / "disc/hidden.jpg")
    assert main(["evaluate", str(tmp_path / "run")]) == 0
    said = capsys.readouterr().out
    shown = data / gone.replace("\n", "?").replace("\udcff", "?")
    assert f"1 of the 15 test pictures of this run are gone, such as {shown}\n" in said
    assert "on all 14 test images" in said
    shutil.copytree(tmp_path / "run", tmp_path / "old").joinpath("pictures.csv").unlink()
    assert main(["evaluate", str(tmp_path / "old")]) == 0  # of a version that listed none
    assert "old does not list its test pictures: they are chosen anew" in capsys.readouterr().out
    (tmp_path / "run/pictures.csv").write_text("file,reason\n")
    assert "pictures.csv cannot be read: its columns are file" in refused(
        capsys, "evaluate", tmp_path / "run"
    )


@pytest.mark.parametrize("mean", [0.3, np.linspace(0, 1, 784).reshape(28, 28).tolist()])
def test_a_grey_network_sees_grey_pictures_as_it_was_trained_to(
    quick, here, capsys, tmp_path, mean
):
    """A mean image is cropped as the pictures are: from 32 x 32 where nothing is frozen."""
    mg.manual_seed(1)
    about = {"model": "lenet5", "num_classes": 10, "in_channels": 1, "mean": mean, "std": 0.4}
    checkpoint.save_weights(models.lenet5(), here / "grey.safetensors", {**about, "resize": 28})
    args = "--model", "lenet5", "--weights", "grey.safetensors"
    for freeze, crop_from in (("backbone", None), ("none", 32)):
        assert quick(*args, "--freeze", freeze, "--out", tmp_path / freeze) == 0
        said = checkpoint.about_of(tmp_path / freeze / "last.safetensors")
        expected = {**about, "num_classes": 3, "resize": 28, "crop_from": crop_from}
        assert {name: said[name] for name in expected} == expected
        capsys.readouterr()
        assert main(["evaluate", str(tmp_path / freeze)]) == 0
        assert f"loss {losses(tmp_path / freeze)[-1]:.4f}, on all 12" in capsys.readouterr().out


def test_export_writes_the_whole_network(run, here):
    """The frozen backbone and the new head, for colour pictures, and how those are prepared."""
    assert main(["export", str(run), "shapes.onnx"]) == 0
    about = interchange.load("shapes.onnx").metadata
    assert json.loads(about["mean"]) == list(finetune.IMAGENET[3][0])
    assert json.loads(about["input_shape"]) == [3, 28, 28]
    assert "data_dir" not in about  # the file is for other machines
    assert json.loads(about["classes"]) == sorted(KINDS)
    net, _ = checkpoint.load_model(run.last)
    x = mg.randn(2, 3, 28, 28)
    with mg.no_grad():
        scores = net.eval()(x).numpy()
    (other,) = judge.run((here / "shapes.onnx").read_bytes(), {"images": x.numpy()})
    np.testing.assert_allclose(other, scores, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("augment", "places"), [(True, 25), (False, 1)])
def test_pictures_are_cropped_at_random_if_augmented(here, augment, places):
    """Each training picture is found again among the windows of its 32 x 32, mirrored or not."""
    crop_from = 32 if augment else None
    reader, found = tuner(freeze="none", augment=augment, crop_from=crop_from)
    batches = reader.trainer(found).batches
    mean, std = (np.float32(x) for x in finetune.IMAGENET[3])
    pictures = folders.Pictures(found.train.files, 28, crop_from=32)[:]
    planes = np.moveaxis((pictures / np.float32(255) - mean) / std, -1, 1)  # (N, 3, 32, 32)
    seen = set()
    for epoch in range(1, 5):
        x = np.concatenate([images.numpy() for images, _ in batches.of_epoch(epoch)])
        order = np.random.default_rng([0, epoch]).permutation(len(x))
        for picture, view in zip(planes[order], x, strict=True):
            windows = {
                (flip, top, left): picture[..., ::flip][:, top : top + 28, left : left + 28]
                for flip in (1, -1) for top in range(5) for left in range(5)
            }  # fmt: skip
            fits = [k for k, window in windows.items() if np.abs(window - view).max() < 1e-5]
            assert fits
            seen.update(fits[:1] if len(fits) == 1 else [])
    assert len({place[1:] for place in seen}) == places
    assert {flip for flip, *_ in seen} == ({1, -1} if augment else {1})


# -------------------------------------------------------------------------------- heads, backbones


@pytest.mark.parametrize("name", models.list_models())
def test_heads_are_what_depends_on_the_number_of_classes(undrawn, name):
    shapes = {}
    for classes in (3, 5):
        net = models.get_model(name, num_classes=classes)
        shapes[classes] = {key: x.shape for key, x in net.state_dict().items()}
        heads = heads_of(name, net)
    differ = {key for key, shape in shapes[3].items() if shape != shapes[5][key]}
    prefixes = tuple(f"{head}." for head in heads)
    assert differ == {key for key in shapes[3] if key.startswith(prefixes)}


@pytest.mark.parametrize(
    ("name", "side"),
    [("alexnet_small", 28), ("lenet5", 28), ("resnet20", 28), ("nin", 224), ("googlenet", 64),
     ("googlenet_d2l", 96)],
)  # fmt: skip
def test_backbone_and_end_make_the_network(name, side):
    net = models.get_model(name, in_channels=3, num_classes=4).eval()
    head = heads_of(name, net)[0]
    images = mg.randn(2, 3, side, side)
    with mg.no_grad():
        scores = end_of(net, head)(features(net, head, images))
        np.testing.assert_allclose(scores.numpy(), net(images).numpy(), rtol=1e-6, atol=1e-6)


def nodes(loss):
    """All recorded operations behind `loss`."""
    found, waiting = {}, [loss.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None and not isinstance(node, mg.Tensor) and id(node) not in found:
            found[id(node)] = node
            waiting += node.edges
    return list(found.values())


def test_frozen_layers_record_nothing_and_get_no_gradients(here):
    """A step through the whole network keeps no more than one through its head alone."""
    head = tuner()
    head[0].trainer(head[1])
    net = head[0].net
    images, targets = mg.randn(16, 3, 28, 28), mg.tensor(np.arange(16) % 3)
    through_all = nn.functional.cross_entropy(net(images), targets)
    alone = nn.functional.cross_entropy(net.fc5(mg.randn(16, 256)), targets)
    held = [
        [(type(node).__name__, sum(x.nbytes for x in node._saved if x is not None))
         for node in nodes(loss)]
        for loss in (through_all, alone)
    ]  # fmt: skip
    assert held[0] == held[1]
    assert sum(size for _, size in held[0]) <= 4 * (16 * 256 + 256 * 3 + 3 * 16 * 3)
    through_all.backward()
    got = {name for name, p in net.named_parameters() if p.grad is not None}
    assert got == {"fc5.weight", "fc5.bias"}
    assert not any(module.training for module in net.modules())


@pytest.mark.parametrize("epochs", [1, 4])
def test_the_backbone_sees_each_picture_once(here, epochs, tmp_path):
    reader, found = tuner(epochs=epochs)
    seen = []
    reader.net.conv1.register_forward_hook(lambda layer, args, y: seen.append(len(args[0])))
    trainer = reader.trainer(found)
    trainer.run = Run(tmp_path)
    trainer.train(Interruption())
    assert len(trainer.rows) == epochs
    assert sum(seen) == 60
    assert trainer.data.train_images.shape == (48, 256)
    assert isinstance(trainer.data.train_images, np.memmap)  # not in memory


def test_cached_features_train_as_recomputed_ones_do(here, tmp_path):
    reader, found = tuner()
    cached = reader.trainer(found)
    cached.run = Run(tmp_path / "cached")
    cached.train(Interruption())

    reader, found = tuner(freeze="none", lr=FineTuning.lr, augment=False)
    whole = reader.trainer(found)
    whole.run = Run(tmp_path / "whole")
    whole.net.requires_grad_(False)
    whole.net.fc5.requires_grad_(True)
    whole.net.train = lambda mode=True: nn.Module.train(whole.net, False)  # frozen: no dropout
    whole.train(Interruption())
    for a, b in zip(cached.rows, whole.rows, strict=True):
        assert a["test_loss"] == pytest.approx(b["test_loss"], rel=1e-4)
    a, b = weights(cached.run), weights(whole.run)
    assert a.keys() == b.keys()
    for key in a:
        np.testing.assert_allclose(a[key], b[key], rtol=1e-3, atol=1e-5)
    begun = tuner()[0].net.fc5.weight.detach().numpy()
    assert np.abs(a["fc5.weight"] - begun).max() > 1e-3


def test_a_frozen_batch_norm_keeps_its_statistics(here):
    mg.save(models.resnet20(num_classes=4, in_channels=3).state_dict(), "r20.safetensors")
    reader, found = tuner(model="resnet20", weights="r20.safetensors", epochs=1)
    trainer = reader.trainer(found)
    trainer.train_epoch(Interruption())
    assert int(reader.net.bn1.num_batches_tracked.item()) == 0
    assert not reader.net.bn1.training


def test_a_new_head_has_a_row_for_each_class_and_begins_as_the_seed_says(here):
    first, second = (tuner()[0].net.fc5.weight.detach().numpy() for _ in range(2))
    assert first.shape == (len(KINDS), 256)
    np.testing.assert_array_equal(first, second)
