"""Pictures of a run: curves, confusion matrix, worst mistakes, filters, predictions.

Arrays in, a PNG out. Figures are built as objects and rendered by Agg: no window, no state shared
with anybody's pyplot, and the same numbers give the same bytes. matplotlib is imported when the
first picture is saved. Files appear whole or not at all (`files.py`).
"""

from __future__ import annotations

import csv
import math
import warnings
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

import numpy as np

from minigrad.utils.files import atomic_path

TRAIN, TEST = "#0072b2", "#d55e00"  # blue and vermilion: told apart by everybody
GREY = "#8a8a8a"
TILES = 40  # mistakes in the gallery, the most confident first
TOP = 5  # classes named a prediction
DRAWN = 100  # classes of which a matrix of numbers can still be read, and drawn in a second
ROWS = 20  # of predictions in one picture: a PNG has an end

FilePath = str | PathLike[str]


def save_curves(metrics: Sequence[Mapping[str, Any]], path: FilePath) -> None:
    """Loss and accuracy against epoch, training and test.

    metrics: one mapping an epoch, as in metrics.jsonl: `epoch`, `train_loss`, `test_loss` and, as
    fractions, `train_acc`, `test_acc`. A value that is missing or not finite leaves a gap.

    Raises:
        ValueError: there is no epoch to draw.
    """
    if not metrics:
        raise ValueError("[save_curves] metrics is empty: there is no epoch to draw")
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    figure = _figure(10, 4)
    epochs = [row["epoch"] for row in metrics]
    loss_axes, accuracy_axes = figure.subplots(1, 2)
    for axes, key, name in (
        (loss_axes, "loss", "Loss (cross-entropy)"),
        (accuracy_axes, "acc", "Accuracy"),
    ):
        for half, label, colour, marker in (
            ("train", "training", TRAIN, "o"),
            ("test", "test", TEST, "s"),
        ):
            values = _column(metrics, f"{half}_{key}")
            if not np.isnan(values).all():
                size = 5 if len(epochs) <= 30 else 0
                axes.plot(epochs, values, color=colour, marker=marker, markersize=size, label=label)
        axes.set(xlabel="Epoch", ylabel=name)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        if axes.lines:
            axes.legend(frameon=False)
    loss_axes.update_datalim([(epochs[0], 0)])
    loss_axes.autoscale_view()
    loss_axes.set_ylim(bottom=0)
    accuracy_axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    accuracy = _column(metrics, "test_acc")
    if not np.isnan(accuracy).all():
        best = int(np.nanargmax(accuracy))
        title = f"best test accuracy {accuracy[best]:.2%}, epoch {epochs[best]}"
        accuracy_axes.set_title(title, fontsize=10)
    _save(figure, path)


def _column(metrics: Sequence[Mapping[str, Any]], key: str) -> np.ndarray:
    values = (row.get(key) for row in metrics)
    column = np.array([math.nan if value is None else value for value in values], dtype=float)
    return np.where(np.isfinite(column), column, math.nan)


def confusion_matrix(targets: np.ndarray, predictions: np.ndarray, n: int) -> np.ndarray:
    """Counts, int64 (n, n): row = true class, column = predicted class.

    Raises:
        ValueError: the lengths differ, or a class is not in 0..n-1.
    """
    targets, predictions = np.asarray(targets), np.asarray(predictions)
    if targets.shape != predictions.shape or targets.ndim != 1:
        raise ValueError(
            f"[confusion_matrix] expected two lists of equal length, got shapes {targets.shape} "
            f"and {predictions.shape}"
        )
    for name, values in (("targets", targets), ("predictions", predictions)):
        if values.size and not (values.min() >= 0 and values.max() < n):
            raise ValueError(
                f"[confusion_matrix] {name} must lie in 0..{n - 1}, "
                f"got {values.min()}..{values.max()}"
            )
    pairs = targets.astype(np.int64) * n + predictions.astype(np.int64)
    return np.bincount(pairs, minlength=n * n).reshape(n, n)


def save_confusion(
    matrix: np.ndarray, classes: Sequence[str], png_path: FilePath, csv_path: FilePath | None = None
) -> None:
    """The matrix as a picture (counts; colour is the share of the true class) and as CSV. Of more
    than DRAWN classes there is the CSV alone."""
    if csv_path is not None:
        with (
            atomic_path(csv_path) as temporary,
            open(temporary, "w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.writer(file)
            writer.writerow(["true \\ predicted", *classes])
            writer.writerows(
                [name, *row.tolist()] for name, row in zip(classes, matrix, strict=True)
            )
    n = len(classes)
    if n > DRAWN:
        return
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = 2.6 + 0.55 * n
    figure = _figure(side + 0.6, side)
    axes = figure.subplots()
    picture = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(n, n):
        if matrix[row, column]:
            ink = "white" if share[row, column] > 0.5 else "black"
            count = f"{matrix[row, column]}"
            axes.text(column, row, count, ha="center", va="center", color=ink, fontsize=9)
    axes.set_xticks(
        range(n), classes, rotation=45, ha="right", rotation_mode="anchor", parse_math=False
    )
    axes.set_yticks(range(n), classes, parse_math=False)
    axes.set_xticks(np.arange(n + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(n + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white")
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    right, total = int(np.trace(matrix)), int(matrix.sum())
    axes.set(xlabel="Predicted class", ylabel="True class")
    axes.set_title(f"{right:,} of {total:,} right ({right / max(total, 1):.2%})", fontsize=11)
    figure.colorbar(picture, ax=axes, shrink=0.8, label="share of the true class")
    _save(figure, png_path)


def save_misclassified(
    images: np.ndarray,
    targets: np.ndarray,
    predictions: np.ndarray,
    probabilities: np.ndarray,
    classes: Sequence[str],
    path: FilePath,
) -> None:
    """A gallery of the mistakes of which the network was surest.

    images uint8 (N, H, W) or (N, H, W, 3), targets and predictions (N,), probabilities (N, C).
    """
    wrong = np.flatnonzero(targets != predictions)
    sure = probabilities[wrong, predictions[wrong]]
    shown = wrong[np.argsort(-sure, kind="stable")][:TILES]
    columns = min(8, max(4, len(shown)))
    rows = math.ceil(len(shown) / columns)
    title = f"{len(wrong):,} of {len(targets):,} are wrong"
    if len(wrong) > len(shown):
        title += f"; the {len(shown)} of which the network was surest"
    figure, axes = _sheet(rows, columns, tile=(1.6, 2.05), title=title)
    text = {"ha": "center", "va": "top", "fontsize": 8, "parse_math": False}
    for place, index in enumerate(shown):
        row, column = divmod(place, columns)
        _show(axes, images[index], row, column, size=(0.94, 0.94 * 1.6 / 2.05))
        true, predicted = classes[targets[index]], classes[predictions[index]]
        chance = probabilities[index, predictions[index]]
        middle = column + 0.47
        axes.text(middle, row + 0.75, f"{_short(predicted, 13)} {chance:.0%}", color=TEST, **text)
        axes.text(middle, row + 0.84, f"true: {_short(true, 14)}", color=TRAIN, **text)
    _save(figure, path)


def save_filters(weight: np.ndarray, path: FilePath) -> None:
    """The kernels of a first layer, weight (O, C, KH, KW), on one scale with zero in its middle.

    C = 1: blue is negative, white zero, red positive. C = 3: colours, zero is grey.

    Raises:
        ValueError: C is neither 1 nor 3, so that there is no picture of a kernel.
    """
    if weight.ndim != 4 or weight.shape[1] not in (1, 3):
        raise ValueError(f"[save_filters] expected weights (O, 1 or 3, KH, KW), got {weight.shape}")
    count, channels, kh, kw = weight.shape
    columns = math.ceil(math.sqrt(count * 1.5))
    rows = math.ceil(count / columns)
    figure, axes = _sheet(
        rows, columns, tile=(0.75, 0.75 * kh / kw), title=f"{count} kernels, {kh} x {kw}"
    )
    limit = float(np.abs(weight).max()) or 1.0
    for place, kernel in enumerate(weight):
        row, column = divmod(place, columns)
        if channels == 1:
            picture = _show(axes, kernel[0], row, column, cmap="RdBu_r", vmin=-limit, vmax=limit)
        else:
            _show(axes, 0.5 + 0.5 * np.moveaxis(kernel, 0, -1) / limit, row, column)
    if channels == 1:
        figure.set_figwidth(figure.get_figwidth() + 1)
        figure.colorbar(picture, ax=axes, shrink=0.8)
    _save(figure, path)


def save_predictions(
    images: Sequence[np.ndarray],
    names: Sequence[str],
    probabilities: np.ndarray,
    classes: Sequence[str],
    path: FilePath,
) -> None:
    """Each picture beside the bars of its most probable classes.

    images: uint8 (H, W) or (H, W, 3), of any sizes; names: one each; probabilities (N,
    len(classes)).
    """
    columns = 1 if len(images) <= 3 else 2 if len(images) <= 12 else 3
    rows = min(ROWS, math.ceil(len(images) / columns))
    inches = (5.0, 2.0)
    cells = list(zip(images, names, probabilities, strict=True))[: rows * columns]
    title = (
        "" if len(cells) == len(images) else f"the first {len(cells)} of {len(images):,} pictures"
    )
    figure, axes = _sheet(rows, columns, inches, title)
    for place, (image, name, chances) in enumerate(cells):
        row, column = divmod(place, columns)
        scale = 1.7 / max(image.shape[:2])  # inches a pixel: the longer side takes 1.7 inches
        size = (image.shape[1] * scale / inches[0], image.shape[0] * scale / inches[1])
        middle = column + 0.2
        _show(axes, image, row + 0.12, middle - size[0] / 2, size)
        axes.text(middle, row + 0.10, _short(name, 26), ha="center", fontsize=9, parse_math=False)
        best = np.argsort(-chances, kind="stable")[:TOP]
        heights = row + 0.2 + 0.17 * np.arange(len(best))
        left, full = column + 0.6, 0.28  # where bars begin, and how long the bar of certainty is
        colours = [TRAIN] + [GREY] * (len(best) - 1)
        axes.barh(heights, full * chances[best], 0.12, left, color=colours)
        axes.plot([left, left], [row + 0.12, row + 0.96], color="black", linewidth=1)
        for height, label in zip(heights, best, strict=True):
            text = {"y": height, "va": "center_baseline", "fontsize": 9, "parse_math": False}
            axes.text(x=left - 0.015, s=_short(classes[label], 18), ha="right", **text)
            axes.text(x=left + full * chances[label] + 0.01, s=f"{chances[label]:.1%}", **text)
    _save(figure, path)


# --------------------------------------------------------------------------------------- matplotlib


def _figure(width: float, height: float) -> Any:
    """An empty figure, in inches, that no pyplot knows of."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _sheet(rows: int, columns: int, tile: tuple[float, float], title: str = "") -> tuple[Any, Any]:
    """A figure and one axes in which tile (row, column) covers that unit square; `tile` in inches.

    One axes for all tiles: laying out forty would take seconds.
    """
    figure = _figure(columns * tile[0], rows * tile[1] + (0.45 if title else 0.0))
    figure.suptitle(title, fontsize=11)
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set(xlim=(0, columns), ylim=(max(rows, 1), 0), aspect=tile[1] / tile[0])
    return figure, axes


def _show(
    axes: Any,
    image: np.ndarray,
    row: float,
    column: float,
    size: tuple[float, float] = (0.9, 0.9),
    cmap: str = "gray",
    vmin: float = 0,
    vmax: float = 255,
) -> Any:
    """An image into a tile of a sheet, framed, its upper left corner in that of the tile."""
    from matplotlib.patches import Rectangle

    width, height = size
    extent = (column, column + width, row + height, row)
    axes.add_patch(
        Rectangle((column, row), width, height, fill=False, edgecolor=GREY, clip_on=False)
    )
    return axes.imshow(
        image,
        cmap=cmap,
        vmin=vmin,
        vmax=vmax,
        extent=extent,
        aspect=axes.get_aspect(),
        interpolation="nearest",
    )


def _short(name: str, length: int) -> str:
    """A name without unprintable characters, its middle left out where it is too long."""
    name = "".join(letter if letter.isprintable() else "?" for letter in name)
    if len(name) <= length:
        return name
    head = (length - 1) // 2
    return f"{name[:head]}…{name[head + 1 - length :]}"


def _save(figure: Any, path: FilePath) -> None:
    with atomic_path(path) as temporary, warnings.catch_warnings():
        # A file name in a script that the font lacks is drawn as boxes; no news for a terminal.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        # Without the version of matplotlib in it, the same numbers give the same bytes.
        figure.savefig(temporary, format="png", dpi=120, metadata={"Software": None})
