"""A run: what it learns, what it writes, and that it can stop anywhere and go on bit by bit.

In this process, on a data set of a few hundred images; `test_cli.py` runs the command itself.
"""

import json
import re
import signal
from dataclasses import replace

import numpy as np
import pytest

import minigrad as mg
from alexnet import checkpoint, checks, datasets, drawn, models, report, train
from alexnet.__main__ import main
from alexnet.batches import Preparation, TrainingBatches
from alexnet.config import SCHEDULES, Config, Schedule, make_optimizer
from alexnet.interrupt import Interruption, Stopped
from alexnet.layers import first_not_finite
from minigrad import nn, optim

FLAGS = ["--epochs", "2", "--batch-size", "16", "--lr", "0.01", "--augment"]


@pytest.fixture(scope="module")
def splits():
    """80 training and 40 test images of the stand-in."""
    images, labels = drawn.draw(80, train=True)
    test_images, test_labels = drawn.draw(40, train=False)
    return datasets.Splits(
        name="drawn",
        train_images=images,
        train_labels=labels,
        train_indices=np.arange(80),
        test_images=test_images,
        test_labels=test_labels,
        classes=datasets.CLASSES,
        mean=drawn.MEAN,
        std=drawn.STD,
        source="a few drawn images",
        stand_in=True,
    )


@pytest.fixture
def alexnet_train_and_draw(splits, tmp_path, monkeypatch):
    """`alexnet train` with these flags on the few images, in a folder of its own; the exit code."""
    monkeypatch.setattr(datasets, "load", lambda *args, **options: splits)
    monkeypatch.chdir(tmp_path)
    return lambda *flags: main(["train", *map(str, flags)])


@pytest.fixture
def alexnet_train(alexnet_train_and_draw, monkeypatch):
    """The same without the pictures, which take longer than the training here."""
    for name in ("curves", "confusion", "misclassified", "filters"):
        monkeypatch.setattr(report, f"save_{name}", lambda *args: None)
    return alexnet_train_and_draw


def metrics(run):
    """What metrics.jsonl holds, without what the clock decides."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [
        {k: v for k, v in row.items() if k not in ("seconds", "images_per_second")} for row in rows
    ]


def stop_after(monkeypatch, checks):
    """Press Ctrl-C so that the check with this number notices it: 5 steps, 1 test batch, then one
    check an epoch."""

    class Impatient:
        count = 0

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def check(self):
            self.count += 1
            if self.count == checks:
                raise Stopped

    monkeypatch.setattr(train, "Interruption", Impatient)


# -------------------------------------------------------------------------- a run and its folder


def test_a_run_writes_its_folder(alexnet_train_and_draw, tmp_path):
    assert alexnet_train_and_draw(*FLAGS) == 0
    assert sorted(path.name for path in (tmp_path / "runs" / "1").iterdir()) == [
        "best.safetensors", "config.json", "confusion.csv", "confusion.png", "curves.png",
        "filters.png", "last.safetensors", "metrics.jsonl", "misclassified.png",
    ]  # fmt: skip
    rows = [
        json.loads(line) for line in (tmp_path / "runs/1/metrics.jsonl").read_text().splitlines()
    ]
    assert [list(row) for row in rows] == [
        [
            "epoch", "train_loss", "train_acc", "test_loss", "test_acc", "seconds",
            "images_per_second", "lr",
        ]
    ] * 2  # fmt: skip
    assert [row["epoch"] for row in rows] == [1, 2]
    config = json.loads((tmp_path / "runs/1/config.json").read_text())
    assert config["stand_in"] is True
    assert config["epochs"] == 2
    assert config["data"]["train_images"] == 80
    assert config["versions"]["numpy"] == np.__version__
    confusion = (tmp_path / "runs/1/confusion.csv").read_text().splitlines()
    counts = [list(map(int, line.split(",")[1:])) for line in confusion[1:]]
    assert np.sum(counts) == 40
    assert np.trace(counts) / 40 == rows[-1]["test_acc"]


def test_runs_are_numbered(alexnet_train, tmp_path):
    (tmp_path / "runs" / "7").mkdir(parents=True)
    (tmp_path / "runs" / "notes").mkdir()
    assert alexnet_train("--epochs", 1, "--model", "alexnet_small") == 0
    assert (tmp_path / "runs" / "8" / "config.json").exists()


def test_best_is_the_epoch_of_the_best_test_accuracy(alexnet_train, tmp_path):
    assert alexnet_train("--epochs", 4, "--batch-size", 16, "--out", "run") == 0
    accuracies = [row["test_acc"] for row in metrics(tmp_path / "run")]
    _, best = checkpoint.read(tmp_path / "run" / "best.safetensors")
    _, last = checkpoint.read(tmp_path / "run" / "last.safetensors")
    assert best["epoch"] == 1 + accuracies.index(max(accuracies))
    assert last["epoch"] == 4


def test_it_learns(alexnet_train, tmp_path):
    assert alexnet_train("--epochs", 12, "--batch-size", 8, "--lr", 0.02, "--out", "run") == 0
    rows = metrics(tmp_path / "run")
    assert rows[-1]["train_loss"] < 0.8 * rows[0]["train_loss"]
    assert rows[-1]["train_acc"] > 0.3  # guessing gives 0.1


def test_the_same_seed_gives_the_same_weights(alexnet_train, tmp_path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        assert alexnet_train(*FLAGS, "--seed", seed, "--out", name) == 0
    a, b, c = (checkpoint.sha256(tmp_path / name / "last.safetensors") for name in "abc")
    assert a == b != c
    assert metrics(tmp_path / "a") == metrics(tmp_path / "b")


# ----------------------------------------------------------------------------- stopping, going on


PLACES = {"step 1": 1, "step 3": 3, "last step": 5, "testing": 6, "epoch": 7, "epoch 2": 9}
STOPS = [pytest.param(["--schedule", "onecycle"], n, id=place) for place, n in PLACES.items()]
STOPS += [
    pytest.param(
        ["--schedule", schedule, "--optimizer", optimizer], 9, id=f"{optimizer} {schedule}"
    )
    for schedule, optimizer in zip(
        SCHEDULES, ("adam", "adamw", "sgd", "adam", "sgd", "sgd2012"), strict=True
    )
]


@pytest.mark.parametrize(("flags", "checks"), STOPS)
def test_a_resumed_run_ends_with_the_same_bits(
    alexnet_train, tmp_path, monkeypatch, capsys, flags, checks
):
    """Wherever it was stopped: the weights, the best weights and the history are the same."""
    assert alexnet_train(*FLAGS, *flags, "--out", "straight") == 0
    with monkeypatch.context() as patch:
        stop_after(patch, checks)
        assert alexnet_train(*FLAGS, *flags, "--out", "stopped") == 130
    assert "alexnet train --resume stopped" in capsys.readouterr().out
    assert (tmp_path / "stopped" / "resume.safetensors").exists()
    mg.manual_seed(99)  # another process would not have this one's random numbers
    assert alexnet_train("--resume", "stopped") == 0
    for name in ("last.safetensors", "best.safetensors"):
        hashes = {checkpoint.sha256(tmp_path / run / name) for run in ("straight", "stopped")}
        assert len(hashes) == 1
    assert metrics(tmp_path / "straight") == metrics(tmp_path / "stopped")
    assert not (tmp_path / "stopped" / "resume.safetensors").exists()


def test_it_can_be_stopped_more_than_once(alexnet_train, tmp_path, monkeypatch):
    assert alexnet_train(*FLAGS, "--out", "straight") == 0
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        assert alexnet_train(*FLAGS, "--out", "stopped") == 130
        for _ in range(3):
            assert alexnet_train("--resume", "stopped") == 130
    assert alexnet_train("--resume", "stopped") == 0
    hashes = {
        checkpoint.sha256(tmp_path / run / "last.safetensors") for run in ("straight", "stopped")
    }
    assert len(hashes) == 1


def test_a_killed_run_goes_on_from_its_last_epoch(alexnet_train, tmp_path, monkeypatch):
    """Killed while it writes: the weights of epoch 2 are there, the snapshot is still epoch 1's."""
    assert alexnet_train(*FLAGS, "--out", "straight") == 0
    with monkeypatch.context() as patch:
        save = checkpoint.save_snapshot

        def die(path, model, optimizer, state):
            if state["epoch"] == 3:
                raise OSError("No space left on device")
            save(path, model, optimizer, state)

        patch.setattr(checkpoint, "save_snapshot", die)
        assert alexnet_train(*FLAGS, "--out", "killed") == 1
    assert alexnet_train("--resume", "killed") == 0
    hashes = {
        checkpoint.sha256(tmp_path / run / "last.safetensors") for run in ("straight", "killed")
    }
    assert len(hashes) == 1
    assert metrics(tmp_path / "straight") == metrics(tmp_path / "killed")


def test_a_run_that_was_stopped_while_it_drew_is_only_drawn(alexnet_train, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:

        def interrupt(*args):
            raise KeyboardInterrupt

        patch.setattr(report, "save_filters", interrupt)
        assert alexnet_train(*FLAGS, "--out", "run") == 130
    digest = checkpoint.sha256(tmp_path / "run" / "last.safetensors")
    rows = metrics(tmp_path / "run")
    assert alexnet_train("--resume", "run") == 0
    assert checkpoint.sha256(tmp_path / "run" / "last.safetensors") == digest
    assert metrics(tmp_path / "run") == rows


def test_another_number_of_threads_is_mentioned(alexnet_train, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        stop_after(patch, 1)
        assert alexnet_train(*FLAGS, "--out", "run") == 130
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    config["threads"] += 1
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    assert alexnet_train("--resume", "run") == 0
    assert f"threads instead of {config['threads']}: the last bits" in capsys.readouterr().out


def test_a_run_of_before_there_were_precisions_and_graphs(
    alexnet_train, tmp_path, monkeypatch, capsys
):
    """It was in float32, without a graph, and goes on so; what else is missing is an error."""
    assert alexnet_train(*FLAGS, "--out", "straight") == 0
    with monkeypatch.context() as patch:
        stop_after(patch, 8)
        assert alexnet_train(*FLAGS, "--out", "old") == 130
    path, snapshot = (tmp_path / "old" / name for name in ("config.json", "resume.safetensors"))
    config, (arrays, about) = json.loads(path.read_text()), checkpoint.read(snapshot)
    del config["precision"], config["graph"], about["scaler"]
    checkpoint.write(snapshot, arrays, about)
    path.write_text(json.dumps(config))
    assert alexnet_train("--resume", "old") == 0
    runs = [tmp_path / name / "last.safetensors" for name in ("straight", "old")]
    assert len({checkpoint.sha256(run) for run in runs}) == 1
    assert main(["evaluate", "old"]) == 0
    del config["seed"]
    path.write_text(json.dumps(config))
    assert alexnet_train("--resume", "old") == 2
    assert "config.json lacks seed: it is of another version" in capsys.readouterr().err


def test_what_cannot_be_resumed(alexnet_train, tmp_path, capsys):
    assert alexnet_train(*FLAGS, "--epochs", 1, "--out", "run") == 0
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{")
    (tmp_path / "stopped").mkdir()
    (tmp_path / "stopped" / "config.json").write_text((tmp_path / "run/config.json").read_text())
    capsys.readouterr()
    for flags, message in (
        (["--resume", "run"], "run is finished: there is nothing to resume"),
        (["--resume", "nowhere"], "nowhere is no run folder: it does not exist"),
        (["--resume", "empty"], "empty is no run folder: it has no config.json"),
        (["--resume", "broken"], "broken/config.json cannot be read"),
        (["--resume", "stopped"], "it stopped before anything was saved"),
        (["--resume", "run", "--lr", "1", "--dry-run"], "leave out --lr, --dry-run"),
    ):
        assert alexnet_train(*flags) == 2
        assert message in capsys.readouterr().err


def test_where_a_run_may_be_written(alexnet_train, tmp_path, capsys):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("{}")
    (tmp_path / "empty").mkdir()
    for out, message in (
        ("full", "--out full exists and is not an empty folder"),
        ("file", "--out file exists and is not an empty folder"),
        ("run", "--out run holds a run already: go on with it by --resume run"),
        ("file/below", "cannot make the folder file/below"),
    ):
        assert alexnet_train("--epochs", 1, "--out", out) == 2
        assert message in capsys.readouterr().err
    assert alexnet_train("--epochs", 1, "--out", "empty") == 0
    assert alexnet_train("--epochs", 1, "--out", "deeply/nested") == 0


def test_the_first_ctrl_c_is_a_wish_and_the_second_an_order():
    before = signal.getsignal(signal.SIGINT)
    with Interruption() as interruption:
        interruption.check()
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(Stopped):
            interruption.check()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


# -------------------------------------------------------------------------------- going wrong


def test_a_loss_that_is_not_finite_stops_the_run(alexnet_train, tmp_path, capsys):
    assert alexnet_train(*FLAGS, "--lr", "1e9", "--schedule", "constant", "--out", "run") == 1
    error = capsys.readouterr().err
    assert re.search(r"the loss became nan in epoch 1 after step \d: \w+ \(\w+\): its ", error)
    assert "no epoch was finished, so no weights were kept" in error
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["config.json"]


def test_the_last_good_weights_are_kept(alexnet_train, tmp_path, monkeypatch, capsys):
    """The loss breaks in the second epoch, because a weight does."""
    step = train.Trainer.train_step

    def poison(trainer, images, targets):
        if trainer.epoch == 2 and trainer.step == 1:
            trainer.model.conv3.weight.array[0, 0, 0, 0] = np.inf
        return step(trainer, images, targets)

    monkeypatch.setattr(train.Trainer, "train_step", poison)
    assert alexnet_train(*FLAGS, "--out", "run") == 1
    error = capsys.readouterr().err
    assert "in epoch 2 after step 1: conv3 (Conv2d): its weight holds infinity" in error
    assert "run/last.safetensors of epoch 1 is kept" in error
    model, about = checkpoint.load_model(tmp_path / "run" / "last.safetensors")
    assert about["epoch"] == 1
    assert all(np.isfinite(p.detach().numpy()).all() for p in model.parameters())


def test_weights_that_break_in_the_last_step_are_not_saved(alexnet_train, tmp_path, monkeypatch):
    """The loss of the step was finite; the test images show what became of the weights."""
    step = train.Trainer.train_step

    def poison(trainer, images, targets):
        result = step(trainer, images, targets)
        if trainer.epoch == 2 and trainer.step == 4:
            trainer.model.fc8.bias.array[0] = np.nan
        return result

    monkeypatch.setattr(train.Trainer, "train_step", poison)
    assert alexnet_train(*FLAGS, "--out", "run") == 1
    _, about = checkpoint.read(tmp_path / "run" / "last.safetensors")
    assert about["epoch"] == 1


def test_the_first_layer_that_is_not_finite_is_named():
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    x = mg.ones(1, 2)
    assert first_not_finite(net, x) == ""
    net[2].bias.array[0] = np.nan
    assert first_not_finite(net, x) == "2 (Linear): its bias holds NaN"
    net[0].weight.array[:] = 3e38
    net[0].bias.array[:] = 3e38
    assert first_not_finite(net, x) == "0 (Linear): its output holds infinity"


def test_overflow_in_half_precision_is_named():
    net = nn.Sequential(nn.Linear(1, 1, bias=False), nn.ReLU()).half()
    net[0].weight.array[:] = 300
    x = mg.tensor([[300.0]], dtype=np.float16)
    assert first_not_finite(net, x) == "0 (Linear): its output holds infinity"


# ------------------------------------------------------------------------------ without a folder


def test_a_dry_run_writes_nothing(alexnet_train, tmp_path, capsys):
    assert alexnet_train(*FLAGS, "--dry-run") == 0
    out = capsys.readouterr().out
    assert "nothing was written. The run would take 2 x 5 steps and write" in out
    assert "runs/1" in out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("model", ["googlenet", "resnet20", "lenet5"])
def test_a_dry_run_trains_as_a_run_does(alexnet_train, monkeypatch, capsys, model):
    """In training mode, where GoogLeNet returns its auxiliary scores as well."""
    modes, step = [], train.Trainer.train_step

    def watched(trainer, images, targets):
        modes.append(trainer.model.training)
        return step(trainer, images, targets)

    monkeypatch.setattr(train.Trainer, "train_step", watched)
    assert alexnet_train("--model", model, "--dry-run") == 0
    assert modes == [True]
    assert "one training step on 8 images: loss " in capsys.readouterr().out


def test_losses_halfway_count_three_tenths():
    a, b, c = mg.randn(3, 4, 10)
    y = mg.tensor([0, 1, 2, 3])
    cross_entropy = nn.functional.cross_entropy
    scores, loss = train.scores_and_loss(models.GoogLeNetOutputs(a, b, c), y)
    assert scores is a
    expected = cross_entropy(a, y) + 0.3 * (cross_entropy(b, y) + cross_entropy(c, y))
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    assert train.scores_and_loss(a, y)[1].item() == cross_entropy(a, y).item()


def test_one_batch_is_learnt_by_heart_through_batch_normalisation(
    alexnet_train, monkeypatch, capsys
):
    """Which normalises by the batch, as in training: by statistics that never move it may not."""
    monkeypatch.setattr(checks, "WARM_UP", 10)
    flags = ("--model", "resnet20", "--batch-size", 8, "--lr", 0.1)
    assert alexnet_train(*flags, "--overfit-batch") == 0
    assert "one batch learnt by heart" in capsys.readouterr().out


def test_one_batch_is_learnt_by_heart(alexnet_train, tmp_path, capsys):
    assert alexnet_train("--batch-size", 16, "--overfit-batch") == 0
    assert "one batch learnt by heart" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_cannot_learn_is_reported(alexnet_train, monkeypatch, capsys):
    monkeypatch.setattr(checks, "MOST_STEPS", 25)
    assert alexnet_train("--batch-size", 2, "--lr", "1e-9", "--overfit-batch") == 1
    assert "the loss on one batch is still" in capsys.readouterr().err


# ------------------------------------------------------------------------------- parts of a run


def test_an_epoch_has_every_image_once_and_its_own_order(splits):
    batches = TrainingBatches(splits, Preparation(0, 1), batch_size=32, augment=False, seed=0)
    orders = []
    for epoch in (1, 2, 1):
        images, labels = zip(*batches.of_epoch(epoch), strict=True)
        assert [len(y) for y in labels] == [32, 32, 16]
        pixels = np.concatenate([x.numpy() for x in images])[:, 0]  # (N, 28, 28)
        orders.append(pixels.sum(axis=(1, 2)))
        np.testing.assert_allclose(
            np.sort(orders[-1]), np.sort(splits.train_images.sum(axis=(1, 2)) / 255), rtol=1e-5
        )
    np.testing.assert_array_equal(orders[0], orders[2])
    assert (orders[0] != orders[1]).any()


@pytest.mark.parametrize("resize", [None, 40])
def test_batches_do_not_depend_on_where_an_epoch_is_entered(splits, resize):
    batches = TrainingBatches(splits, Preparation(0, 1, resize), 16, augment=True, seed=5)
    whole = list(batches.of_epoch(3))
    for start in (1, 4, 5):
        rest = list(batches.of_epoch(3, start))
        assert len(rest) == 5 - start
        for (x, y), (expected_x, expected_y) in zip(rest, whole[start:], strict=True):
            np.testing.assert_array_equal(x.numpy(), expected_x.numpy())
            np.testing.assert_array_equal(y.numpy(), expected_y.numpy())
    side = resize or 28
    assert whole[0][0].shape == (16, 1, side, side)
    assert whole[0][0].dtype == np.float32


def test_augmentation_differs_from_epoch_to_epoch(splits):
    plain, changed = (
        TrainingBatches(splits, Preparation(0, 1), 80, augment, seed=0) for augment in (False, True)
    )
    (x, _), (y, _) = next(plain.of_epoch(1)), next(changed.of_epoch(1))
    assert (x.numpy() != y.numpy()).any()
    sums = []
    for epoch in (1, 2):
        (images, _) = next(changed.of_epoch(epoch))
        sums.append(np.sort((images.numpy() * np.arange(28)).sum(axis=(1, 2, 3))))
    assert (sums[0] != sums[1]).any()


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
        ("step", [1.0, 1.0, 0.1, 0.1, 0.01, 0.01]),
        ("cosine", [1.0, 0.933, 0.75, 0.5, 0.25, 0.067]),
    ],
)
def test_schedules(schedule, expected):
    """The rate of each step: 3 epochs of 2 steps."""
    assert rates(schedule, [1.0] * 3) == pytest.approx(expected, abs=1e-3)


def rates(schedule, losses, errors=None):
    config = replace(Config(), schedule=schedule, lr=1.0, epochs=len(losses))
    optimizer = make_optimizer(config, nn.Linear(1, 1))
    plan = Schedule(config, optimizer, steps_per_epoch=2)
    seen = []
    for loss, error in zip(losses, errors or losses, strict=True):
        for _ in range(2):
            seen.append(plan.lr)
            plan.after_step()
        plan.after_epoch(loss, error)
    return seen


def test_onecycle_rises_to_the_rate_and_falls_to_almost_nothing():
    seen = rates("onecycle", [1.0] * 10)
    assert seen[0] == pytest.approx(1 / 25)
    assert max(seen) == pytest.approx(1.0)
    assert seen.index(max(seen)) == 5  # after 30 % of 20 steps
    assert seen[-1] < 1e-4


def test_plateau_waits_for_two_epochs_without_progress():
    seen = rates("plateau", [1.0, 0.9, 0.9, 0.9, 0.8, 0.8])[::2]  # an epoch each
    assert seen == pytest.approx([1, 1, 1, 1, 1 / 3, 1 / 3])


def test_test_plateau_waits_for_three_epochs_without_progress_and_divides_three_times():
    better = [0.5, 0.4, 0.4, 0.39, 0.39, 0.39, 0.4]
    falling = [1 / n for n in range(1, 25)]  # the training loss says nothing here
    seen = rates("test-plateau", falling, better + [0.41] * 17)[::2]
    steps = [1.0] * 7 + [0.1] * 3 + [0.01] * 3 + [0.001] * 11
    assert seen == pytest.approx(steps)


def test_the_settings_that_a_run_gets():
    small = Config.of({})
    assert small == Config()
    full = Config.of({}, full=True)
    assert full.limit_train is None
    assert full.augment
    assert full.epochs > small.epochs
    assert Config.of({"epochs": 3}, full=True).epochs == 3
    assert Config.of({"model": "alexnet_d2l"}).lr < small.lr
    assert Config.of({"optimizer": "adam"}).lr < small.lr
    assert Config.of({"optimizer": "adam", "lr": 0.5}).lr == 0.5
    assert Config.of({"batch_size": 32}).lr == small.lr / 4
    assert Config.of({"batch_size": 32, "lr": 0.5}).lr == 0.5
    assert Config.from_json(small.to_json()) == small


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_optimizers_get_all_their_settings(name):
    config = replace(Config(), optimizer=name, lr=0.5, momentum=0.7, weight_decay=0.03)
    optimizer = make_optimizer(config, nn.Linear(1, 1))
    group = optimizer.param_groups[0]
    assert type(optimizer) is {"sgd": optim.SGD, "adam": optim.Adam, "adamw": optim.AdamW}[name]
    assert group["lr"] == 0.5
    assert group["weight_decay"] == 0.03
    assert (group["momentum"] if name == "sgd" else group["betas"][0]) == 0.7
