"""Fine-tuning: what is learned, what is frozen, what is computed once, and how it can go wrong."""

import csv
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

import minigrad as mg
from alexnet import checkpoint, finetune, folders, interchange, models, report, train
from alexnet.__main__ import main
from alexnet.config import FineTuning
from alexnet.errors import InputError
from alexnet.finetune import Tuner, end_of, features, heads_of, renewed
from alexnet.interrupt import Interruption, Stopped
from alexnet.runs import Run
from alexnet.weights import Published
from minigrad import nn
from tests.alexnet.drawing import KINDS, draw_folder
from tests.alexnet.interchange import judge
from tests.alexnet.test_cli import alexnet


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


# ------------------------------------------------------------------------------ weights and flags


def refused(capsys, *args):
    """The one line of a command that is refused."""
    assert main([str(arg) for arg in args]) == 2
    out, err = capsys.readouterr()
    assert err.count("\n") == 1
    return err


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


def test_a_new_head_has_a_row_for_each_class_and_begins_as_the_seed_says(here):
    first, second = (tuner()[0].net.fc5.weight.detach().numpy() for _ in range(2))
    assert first.shape == (len(KINDS), 256)
    np.testing.assert_array_equal(first, second)
