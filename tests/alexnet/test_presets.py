"""The recipes: what each sets, what each part does in a run, and ten crops by hand.

On the few images of `test_train.py`, with networks for 28 x 28.
"""
# ruff: noqa: F811 - fixtures

import json
import re
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

import minigrad as mg
from alexnet import checkpoint, models, train, transforms
from alexnet.__main__ import main
from alexnet.batches import Preparation, TrainingBatches
from alexnet.config import Config
from alexnet.errors import InputError
from alexnet.evaluate import evaluate
from alexnet.paper import SGD2012
from alexnet.presets import PRESETS
from minigrad import nn, optim
from tests.alexnet.test_paper import biases
from tests.alexnet.test_train import (  # noqa: F401
    alexnet_train,
    alexnet_train_and_draw,
    metrics,
    splits,
    stop_after,
)

SHORT = ("--model", "alexnet_small", "--epochs", 2, "--batch-size", 16)


# ---------------------------------------------------------------------------------- the settings


def recipe(preset, model, epochs, optimizer, lr, momentum, decay, schedule, size, **more):
    plain = dict(init="own", augment=False, lighting=0.0, crop_from=None, ten_crop=False)
    return dict(
        preset=preset, model=model, epochs=epochs, optimizer=optimizer, lr=lr, momentum=momentum,
        weight_decay=decay, schedule=schedule, resize=size, batch_size=128, limit_train=None,
        dataset="auto", data_dir=None, device="auto", precision="fp32", graph=False, seed=0,
        **{**plain, **more},
    )  # fmt: skip


TABLE = [
    recipe("paper", "alexnet_2012", 90, "sgd2012", 0.01, 0.9, 5e-4, "test-plateau", 227,
           normalize="mean-image", init="paper", augment=True, lighting=0.1, crop_from=259,
           ten_crop=True),
    recipe("sgd224", "alexnet_d2l", 10, "sgd", 0.01, 0.0, 0.0, "constant", 224, normalize="unit"),
    recipe("adam224", "alexnet_d2l_pad0", 5, "adam", 0.001, 0.9, 0.0, "constant", 224,
           normalize="unit"),
]  # fmt: skip


@pytest.mark.parametrize("values", TABLE, ids=lambda values: values["preset"])
def test_a_preset_sets_all_of_this(values):
    assert Config.of({"preset": values["preset"]}).to_json() == values


def test_every_preset_is_in_the_table():
    assert list(PRESETS) == [values["preset"] for values in TABLE]


@pytest.mark.parametrize("preset", PRESETS)
def test_flags_override_a_preset(preset):
    given = {"preset": preset, "lr": 0.5, "batch_size": 7, "augment": False, "optimizer": "adamw",
             "epochs": 3, "crop_from": 40, "model": "lenet5", "limit_train": 50}  # fmt: skip
    config = Config.of(given).to_json()
    assert given.items() <= config.items()
    untouched = set(config) - set(given) - {"resize"}
    (values,) = (values for values in TABLE if values["preset"] == preset)
    assert {name: config[name] for name in untouched} == {name: values[name] for name in untouched}


@pytest.mark.parametrize(
    ("given", "resize", "crop_from"),
    [({"model": "alexnet"}, 224, 256), ({"model": "lenet5"}, 28, 32), ({"resize": 112}, 112, 128)],
)
def test_images_have_the_size_of_the_network(given, resize, crop_from):
    config = Config.of({"preset": "paper", **given})
    assert (config.resize, config.crop_from) == (resize, crop_from)


# ---------------------------------------------------------------------------------------- in a run


@pytest.fixture
def trainer(alexnet_train, monkeypatch):
    """The Trainer that `alexnet train` makes of these flags."""

    def make(*flags):
        made = []
        monkeypatch.setattr(train.checks, "dry_run", lambda trainer: made.append(trainer) or 0)
        assert alexnet_train(*flags, "--dry-run") == 0
        return made[0]

    return make


def test_the_parts_of_the_paper_reach_the_run(trainer, splits, capsys):
    t = trainer("--preset", "paper", "--model", "alexnet_small")
    assert biases(t.model) == (["conv2", "fc4"], ["conv1", "conv3", "fc5"])
    assert t.model.conv1.weight.detach().numpy().std() == pytest.approx(0.01, rel=0.2)
    assert type(t.optimizer) is SGD2012
    (group,) = t.optimizer.param_groups
    assert (group["lr"], group["momentum"], group["weight_decay"]) == (0.01, 0.9, 5e-4)
    assert t.schedule.kind == "test-plateau"
    assert (t.prepare.crop_from, t.prepare.resize, t.prepare.ten_crop) == (32, 28, True)
    mean = splits.train_images.mean(axis=0) / 255
    np.testing.assert_allclose(t.prepare.mean, mean, atol=1e-6)
    assert t.batches.augment and t.batches.lighting.alphastd == 0.1
    assert t.batches.lighting.eigval == pytest.approx([(splits.train_images / 255).var()])
    said = capsys.readouterr().out
    assert "preset    paper: Krizhevsky, Sutskever, Hinton (2012)" in said
    assert "crops of 28 x 28 out of 32 x 32" in said
    assert "weights N(0, 0.01), some biases 1; pixels 0..255 less the mean image" in said
    assert "mirrored at random, lit at random (0.1), tested on ten crops at the end" in said


@pytest.mark.parametrize(("preset", "kind"), [("sgd224", optim.SGD), ("adam224", optim.Adam)])
def test_the_parts_of_the_blogs_reach_the_run(trainer, splits, preset, kind):
    t = trainer("--preset", preset, "--model", "lenet5")
    assert type(t.optimizer) is kind
    images, _ = next(t.batches.of_epoch(1))
    pixels = np.sort(images.numpy(), axis=None)
    np.testing.assert_array_equal(
        pixels, np.sort(splits.train_images.astype(np.float32) / 255, axis=None)
    )


@pytest.mark.parametrize("preset", PRESETS)
def test_a_run_of_each_preset(alexnet_train, tmp_path, capsys, preset):
    assert alexnet_train("--preset", preset, *SHORT, "--out", "run") == 0
    out = capsys.readouterr().out
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    values = Config.of(
        {"preset": preset, "model": "alexnet_small", "epochs": 2, "batch_size": 16}
    ).to_json()
    assert {name: config[name] for name in values} == {**values, "dataset": "drawn"}
    assert len(metrics(tmp_path / "run")) == 2
    assert f"preset    {preset}: {PRESETS[preset].source}" in out
    assert f"made for {PRESETS[preset].settings['epochs']} epochs" in out
    assert main(["evaluate", "run"]) == 0
    accuracy = next(line for line in out.splitlines() if line.startswith("test accuracy")).split()
    again = capsys.readouterr().out.splitlines()[-1]
    assert again.startswith(f"test accuracy {accuracy[2]}, loss ")
    assert ("ten crops each" in again) == (preset == "paper") == ("(ten crops each)" in out)


def test_the_schedule_sees_the_training_loss_and_the_test_error(
    alexnet_train, tmp_path, monkeypatch
):
    seen = []
    monkeypatch.setattr(train.Schedule, "after_epoch", lambda plan, *numbers: seen.append(numbers))
    assert alexnet_train("--preset", "paper", *SHORT, "--out", "run") == 0
    rows = metrics(tmp_path / "run")
    assert seen == [(row["train_loss"], 1 - row["test_acc"]) for row in rows]


PLACES = {"epoch 1": 3, "epoch 2": 9, "after the last": 14, "the ten crops": 15}


@pytest.mark.parametrize("checks", PLACES.values(), ids=PLACES)
def test_a_resumed_run_of_the_paper_ends_with_the_same_bits(
    alexnet_train, tmp_path, monkeypatch, capsys, checks
):
    flags = ("--preset", "paper", *SHORT)
    assert alexnet_train(*flags, "--out", "straight") == 0
    result = [line for line in capsys.readouterr().out.splitlines() if "ten crops each" in line]
    with monkeypatch.context() as patch:
        stop_after(patch, checks)
        assert alexnet_train(*flags, "--out", "stopped") == 130
    mg.manual_seed(99)
    assert alexnet_train("--resume", "stopped") == 0
    assert capsys.readouterr().out.splitlines().count(result[0]) == 1
    for name in ("last.safetensors", "best.safetensors"):
        hashes = {checkpoint.sha256(tmp_path / run / name) for run in ("straight", "stopped")}
        assert len(hashes) == 1
    assert metrics(tmp_path / "straight") == metrics(tmp_path / "stopped")


# --------------------------------------------------------------------------- images, one by one


@pytest.fixture
def mean(splits):
    """The mean image, as a weights file has it."""
    return np.round(splits.train_images.mean(axis=0) / 255, 6)


def test_training_images_are_cropped_and_mirrored(splits, mean):
    """Each image of a batch is found again among all windows of all images."""
    few = replace(
        splits, train_images=splits.train_images[:20], train_labels=splits.train_labels[:20]
    )
    prepare = Preparation(mean, 1 / 255, 28, crop_from=32)
    big = transforms.resize_batch(few.train_images, 32).astype(np.float32)
    whole = big - 255 * transforms.resize_batch(mean, 32).astype(np.float32)  # (N, 32, 32)
    windows = {
        (n, flip, top, left): image[:, ::flip][top : top + 28, left : left + 28]
        for (n, image), flip, top, left in product(enumerate(whole), (1, -1), range(5), range(5))
    }
    keys, stack = list(windows), np.stack(list(windows.values()))
    for augment, flips in ((False, {1}), (True, {1, -1})):
        batches = TrainingBatches(few, prepare, 20, augment, seed=0)
        places = set()
        for epoch in range(1, 4):
            x, _ = next(batches.of_epoch(epoch))
            distances = [np.abs(stack - image).max(axis=(1, 2)) for image in x.numpy()[:, 0]]
            assert max(map(min, distances)) < 0.02
            found = [keys[d.argmin()] for d in distances]
            assert sorted(n for n, *_ in found) == list(range(20))
            places.update(key[1:] for key in found)
        assert {flip for flip, *_ in places} == flips
        assert len({place[1:] for place in places}) > 15  # of 25


def test_training_images_are_lit(splits, mean):
    """All pixels of an image by the same amount, in 0..255 here."""
    prepare = Preparation(mean, 1 / 255, 28, crop_from=32)
    plain, lit = (
        next(TrainingBatches(splits, prepare, 80, False, 0, lighting).of_epoch(1))[0].numpy()
        for lighting in (0.0, 0.1)
    )
    added = (lit - plain)[:, 0]
    assert np.ptp(added, axis=(1, 2)).max() < 1e-3
    deviation = 255 * 0.1 * (splits.train_images / 255).var()
    assert added[:, 0, 0].std() == pytest.approx(deviation, rel=0.25)


def test_what_is_not_square_is_cut_to_its_middle():
    """The shorter side to 16, then the middle 16 x 16, of which the network sees 14 x 14."""
    images = np.random.default_rng(0).integers(0, 256, (2, 12, 18), dtype=np.uint8)
    middle = transforms.resize_batch(images, (16, 24))[:, :, 4:20]
    prepare = Preparation(0.0, 1.0, 14, crop_from=16)
    np.testing.assert_array_equal(prepare.whole(images)[:, 0], middle.astype(np.float32) / 255)
    np.testing.assert_array_equal(
        prepare(images).numpy()[:, 0], middle[:, 1:15, 1:15].astype(np.float32) / 255
    )


def test_ten_crops_are_the_mean_over_ten_crops_by_hand(splits, mean):
    model = models.alexnet_small()
    nn.init.normal_(model.fc5.weight, std=0.1)
    images, targets = splits.test_images[:7], splits.test_labels[:7]
    prepare = Preparation(mean, 0.5, 28, crop_from=32, ten_crop=True)
    result = evaluate(model, images, targets, prepare, ten_crop=True)

    big = transforms.resize_batch(images, (32, 32)).astype(np.float32) / 255
    whole = (big - transforms.resize_batch(mean, (32, 32)).astype(np.float32)) / 0.5
    chances = []
    for x in (whole, whole[:, :, ::-1]):
        for top, left in ((0, 0), (0, 4), (4, 0), (4, 4), (2, 2)):
            crop = np.ascontiguousarray(x[:, None, top : top + 28, left : left + 28])
            with mg.no_grad():
                logits = model(mg.Tensor(crop)).numpy().astype(np.float64)
            e = np.exp(logits - logits.max(axis=1, keepdims=True))
            chances.append(e / e.sum(axis=1, keepdims=True))
    expected = np.mean(chances, axis=0)
    assert np.std(chances, axis=0).max() > 0.01  # crops differ
    np.testing.assert_allclose(result.probabilities, expected, rtol=2e-5)
    loss = -np.log(expected[np.arange(7), targets]).mean()
    assert result.loss == pytest.approx(loss, rel=1e-5)
    middle = evaluate(model, images, targets, prepare)
    np.testing.assert_allclose(middle.probabilities, chances[4], rtol=2e-5)


def test_weights_say_how_images_are_prepared(alexnet_train, tmp_path, splits):
    assert alexnet_train("--preset", "paper", *SHORT, "--epochs", 1, "--out", "run") == 0
    _, about = checkpoint.read(tmp_path / "run" / "last.safetensors")
    one = Preparation.of(Config.of({"preset": "paper", "model": "alexnet_small"}), splits)
    for a, b in zip(
        one.views(splits.test_images), Preparation.from_json(about).views(splits.test_images),
        strict=True,
    ):  # fmt: skip
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    older = Preparation.from_json({"mean": 0.5, "std": 0.25, "resize": None})
    (view,) = older.views(splits.test_images)
    np.testing.assert_array_equal(
        view.numpy()[:, 0], (splits.test_images.astype(np.float32) / 255 - 0.5) / 0.25
    )


# ------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--preset", "papier"], r"invalid choice: 'papier' \(choose from .*paper.*sgd224.*adam"),
        (["--preset", "paper", "--full"], "leave out --full, or --preset"),
        (["--preset", "paper", "--resize", 28],
         "images of 28 x 28 do not get through alexnet_2012: the size reaches 0.*--resize 227"),
        (["--preset", "paper", "--model", "lenet5", "--crop-from", 20],
         "--crop-from 20: there are no crops of 28 x 28 in images that small"),
        (["--ten-crop"], "--ten-crop needs images that are larger than crops: add --crop-from"),
        (["--lighting", -1], "argument --lighting: must be a number of at least 0"),
        (["--init", "he"], "argument --init: invalid choice"),
        (["--normalize", "z"], "argument --normalize: invalid choice"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_in_one_line(
    alexnet_train, undrawn, tmp_path, capsys, flags, message
):
    try:
        code = alexnet_train(*flags)
    except SystemExit as exit:
        code = exit.code
    assert code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(message, line)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_preset_names_those_that_exist():
    with pytest.raises(InputError, match="unknown preset 'x'; there are paper, sgd224, adam224"):
        Config.of({"preset": "x"})


def test_the_help_names_the_sources(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    for name, preset in PRESETS.items():
        assert f"{name}: {preset.source}" in said
