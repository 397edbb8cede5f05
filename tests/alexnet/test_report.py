"""Pictures of a run: they are made, whole, the same each time, and show the right things."""

import csv
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from alexnet import report
from alexnet.datasets import CLASSES

METRICS = [
    {"epoch": 1, "train_loss": 0.9, "train_acc": 0.70, "test_loss": 0.7, "test_acc": 0.75},
    {"epoch": 2, "train_loss": 0.6, "train_acc": 0.80, "test_loss": 0.5, "test_acc": 0.82},
]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def results(rng):
    """Images, targets, predictions and probabilities of a test in which a quarter is wrong."""
    n = 80
    images = rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)
    targets = rng.integers(0, 10, n)
    probabilities = rng.random((n, 10)) + 2 * np.eye(10)[(targets + (np.arange(n) % 4 == 0)) % 10]
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return images, targets, probabilities.argmax(axis=1), probabilities


def pictures(results, rng):
    """Every picture there is: a name, and a function that saves it to a path."""
    images, targets, predictions, probabilities = results
    matrix = report.confusion_matrix(targets, predictions, 10)
    colour = rng.integers(0, 256, (40, 90, 3), dtype=np.uint8)
    return {
        "curves": lambda path: report.save_curves(METRICS, path),
        "confusion": lambda path: report.save_confusion(matrix, CLASSES, path),
        "misclassified": lambda path: report.save_misclassified(*results, CLASSES, path),
        "filters": lambda path: report.save_filters(rng.normal(size=(7, 1, 5, 3)), path),
        "colour filters": lambda path: report.save_filters(rng.normal(size=(7, 3, 5, 5)), path),
        "predictions": lambda path: report.save_predictions(
            [images[0], colour],
            ["shoe.png", "a $photo$ 鞋\n.jpg"],
            probabilities[:2],
            CLASSES,
            path,
        ),
    }


NAMES = ["curves", "confusion", "misclassified", "filters", "colour filters", "predictions"]


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_is_whole_and_the_same_each_time(tmp_path, results, name):
    for copy in ("one.png", "two.png"):
        pictures(results, np.random.default_rng(1))[name](tmp_path / "run" / copy)
    with Image.open(tmp_path / "run" / "one.png") as image:
        image.load()
        assert image.format == "PNG" and image.width > 300 and image.height > 100
        assert len(image.convert("RGB").getcolors(1 << 24)) > 20  # more than an empty sheet
    one, two = ((tmp_path / "run" / copy).read_bytes() for copy in ("one.png", "two.png"))
    assert one == two
    assert sorted(os.listdir(tmp_path / "run")) == ["one.png", "two.png"]


def test_a_failed_picture_leaves_the_old_one(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    path = tmp_path / "curves.png"
    path.write_bytes(b"old")

    def fail(self, name, **options):
        name.write_bytes(b"half of it")
        raise OSError("No space left on device")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(OSError, match="No space left"):
        report.save_curves(METRICS, path)
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["curves.png"]


def test_no_pyplot_and_no_matplotlib_before_the_first_picture(tmp_path):
    code = (
        "import sys; from alexnet import report; assert 'matplotlib' not in sys.modules;"
        f"report.save_curves([{METRICS[0]}], {str(tmp_path / 'curves.png')!r});"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# ------------------------------------------------------------------------------------------- curves


def saved_figure(monkeypatch):
    """The figure that the next picture is saved from, in a list."""
    figures = []
    monkeypatch.setattr(report, "_save", lambda figure, path: figures.append(figure))
    return figures


def test_curves_show_the_numbers(monkeypatch):
    figures = saved_figure(monkeypatch)
    report.save_curves(METRICS, "unused")
    loss, accuracy = figures[0].axes
    lines = {
        (axes.get_ylabel().split()[0], line.get_label()): line.get_ydata().tolist()
        for axes in (loss, accuracy)
        for line in axes.lines
    }
    assert lines == {
        ("Loss", "training"): [0.9, 0.6],
        ("Loss", "test"): [0.7, 0.5],
        ("Accuracy", "training"): [0.70, 0.80],
        ("Accuracy", "test"): [0.75, 0.82],
    }
    assert loss.get_xlabel() == accuracy.get_xlabel() == "Epoch"
    assert loss.get_ylim()[0] == 0
    assert accuracy.get_title() == "best test accuracy 82.00%, epoch 2"


def test_curves_leave_out_what_is_missing(tmp_path, monkeypatch):
    rows = [{"epoch": 1, "train_loss": 2.3}, {"epoch": 2, "train_loss": float("nan")}]
    rows += [{"epoch": 3, "train_loss": 1.0, "test_acc": None}]
    report.save_curves(rows, tmp_path / "curves.png")
    figures = saved_figure(monkeypatch)
    report.save_curves(rows, "unused")
    loss, accuracy = figures[0].axes
    assert [line.get_label() for line in loss.lines] == ["training"]
    assert len(accuracy.lines) == 0
    with pytest.raises(ValueError, match=r"\[save_curves\] metrics is empty"):
        report.save_curves([], tmp_path / "curves.png")


# ---------------------------------------------------------------------------------------- confusion


def test_confusion_matrix_counts(rng):
    targets, predictions = rng.integers(0, 4, 200), rng.integers(0, 4, 200)
    matrix = report.confusion_matrix(targets, predictions, 5)
    expected = np.zeros((5, 5), int)
    for true, predicted in zip(targets, predictions, strict=True):
        expected[true, predicted] += 1
    np.testing.assert_array_equal(matrix, expected)
    assert matrix.dtype == np.int64
    assert report.confusion_matrix(np.array([2], np.uint8), np.array([1], np.uint8), 200)[2, 1] == 1
    assert not report.confusion_matrix(np.array([], int), np.array([], int), 3).any()


@pytest.mark.parametrize(
    ("targets", "predictions", "message"),
    [
        ([0, 1], [0], r"equal length, got shapes \(2,\) and \(1,\)"),
        ([0, 3], [0, 0], r"targets must lie in 0\.\.2, got 0\.\.3"),
        ([0, 0], [0, -1], r"predictions must lie in 0\.\.2, got -1\.\.0"),
    ],
)
def test_confusion_matrix_refuses(targets, predictions, message):
    with pytest.raises(ValueError, match=message):
        report.confusion_matrix(np.array(targets), np.array(predictions), 3)


def test_the_csv_holds_the_matrix(tmp_path):
    matrix = np.array([[5, 0], [2, 3]])
    report.save_confusion(matrix, ["a,b", "Füße"], tmp_path / "c.png", tmp_path / "c.csv")
    with open(tmp_path / "c.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows == [["true \\ predicted", "a,b", "Füße"], ["a,b", "5", "0"], ["Füße", "2", "3"]]


def test_more_classes_than_can_be_drawn_are_in_the_csv(tmp_path):
    n = report.DRAWN + 1
    report.save_confusion(np.eye(n, dtype=int), ["x"] * n, tmp_path / "c.png", tmp_path / "c.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["c.csv"]
    assert len((tmp_path / "c.csv").read_text().splitlines()) == n + 1


def test_a_class_that_never_occurs_is_no_division_by_zero(tmp_path):
    report.save_confusion(np.array([[0, 0], [1, 1]]), ["x", "$y$"], tmp_path / "c.png")
    report.save_confusion(np.zeros((2, 2), int), ["x", "$y_$"], tmp_path / "c.png")


# ---------------------------------------------------------------------------------------- galleries


@pytest.fixture
def shown(monkeypatch):
    """The images drawn, in order, and the options they were drawn with."""
    drawn, show = [], report._show

    def record(axes, image, *args, **options):
        drawn.append((np.array(image), options))
        return show(axes, image, *args, **options)

    monkeypatch.setattr(report, "_show", record)
    return drawn


def test_the_gallery_shows_the_surest_mistakes_first(tmp_path, results, shown, monkeypatch):
    monkeypatch.setattr(report, "TILES", 6)
    images, targets, predictions, probabilities = results
    report.save_misclassified(*results, CLASSES, tmp_path / "m.png")
    wrong = [i for i in range(len(targets)) if targets[i] != predictions[i]]
    wrong.sort(key=lambda i: -probabilities[i, predictions[i]])
    assert len(wrong) > 6
    np.testing.assert_array_equal([image for image, _ in shown], images[wrong[:6]])


def test_the_captions_say_what_it_took_it_for_and_what_it_is(monkeypatch):
    figures = saved_figure(monkeypatch)
    probabilities = np.array([[0.1, 0.7, 0.2], [0.8, 0.1, 0.1]])
    images = np.zeros((2, 28, 28), np.uint8)
    target, predicted = np.array([2, 0]), np.array([1, 0])
    report.save_misclassified(images, target, predicted, probabilities, "abc", "unused")
    assert [text.get_text() for text in figures[0].axes[0].texts] == ["b 70%", "true: c"]
    assert figures[0].get_suptitle() == "1 of 2 are wrong"


def test_a_gallery_without_mistakes(tmp_path, results):
    images, targets, _, probabilities = results
    path = tmp_path / "m.png"
    report.save_misclassified(images, targets, targets, probabilities, CLASSES, path)
    assert path.exists()


def test_all_filters_share_one_scale_around_zero(tmp_path, rng, shown):
    weight = rng.normal(size=(6, 1, 3, 3)).astype(np.float32)
    weight[2, 0, 1, 1] = 9
    report.save_filters(weight, tmp_path / "f.png")
    np.testing.assert_array_equal([image for image, _ in shown], weight[:, 0])
    assert {(options["vmin"], options["vmax"]) for _, options in shown} == {(-9, 9)}


def test_colour_filters_put_zero_in_the_middle(tmp_path, rng, shown):
    weight = rng.normal(size=(6, 3, 11, 11)).astype(np.float32)
    weight[:, :, 0, 0] = 0
    report.save_filters(weight, tmp_path / "f.png")
    colours = np.stack([image for image, _ in shown])
    assert colours.shape == (6, 11, 11, 3)
    assert colours.min() >= 0 and colours.max() <= 1
    assert max(colours.max() - 0.5, 0.5 - colours.min()) == pytest.approx(0.5)
    assert (colours[:, 0, 0] == 0.5).all()


def test_filters_of_zeros_and_of_other_channels(tmp_path):
    report.save_filters(np.zeros((2, 1, 3, 3)), tmp_path / "f.png")
    with pytest.raises(ValueError, match=r"\[save_filters\] .* got \(4, 2, 3, 3\)"):
        report.save_filters(np.zeros((4, 2, 3, 3)), tmp_path / "g.png")
    assert os.listdir(tmp_path) == ["f.png"]


def test_predictions_name_the_five_most_probable(monkeypatch):
    figures = saved_figure(monkeypatch)
    row = np.array([0.05, 0.01, 0.4, 0.3, 0.02, 0.2, 0.005, 0.005, 0.005, 0.005])
    report.save_predictions([np.zeros((28, 28))], ["x.png"], row[None], CLASSES, "unused")
    texts = [text.get_text() for text in figures[0].axes[0].texts]
    assert texts[0] == "x.png"
    assert texts[1::2] == ["Pullover", "Dress", "Sandal", "T-shirt/top", "Coat"]
    assert texts[2::2] == ["40.0%", "30.0%", "20.0%", "5.0%", "2.0%"]


def test_very_many_predictions_are_cut(monkeypatch):
    monkeypatch.setattr(report, "ROWS", 2)
    figures = saved_figure(monkeypatch)
    images, rows = [np.zeros((4, 4))] * 20, np.full((20, 2), 0.5)
    report.save_predictions(images, [f"{i}.png" for i in range(20)], rows, "ab", "unused")
    assert figures[0].get_suptitle() == "the first 6 of 20 pictures"
    assert len(figures[0].axes[0].images) == 6


def test_names_are_shortened_and_cleaned():
    assert report._short("short.png", 20) == "short.png"
    assert report._short("a_very_long_file_name.jpeg", 15) == "a_very_…me.jpeg"
    assert report._short("new\nline\udc80", 20) == "new?line?"
