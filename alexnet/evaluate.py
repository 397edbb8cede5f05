"""How good a network is: `evaluate`, which training calls each epoch, and `alexnet evaluate`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import minigrad
from alexnet import checkpoint, datasets, folders, resident
from alexnet.batches import Preparation
from alexnet.console import Progress, say, stopwatch
from alexnet.environment import STAND_IN, choose_device
from alexnet.errors import InputError
from alexnet.folders import FOLDER, Half, Pictures
from alexnet.layers import align
from alexnet.report import confusion_matrix
from alexnet.runs import Run
from minigrad import nn
from minigrad.backend import CPU, Device
from minigrad.nn import functional as F

PIXELS = 500 * 28 * 28  # of the images that go through the network together
FEWEST = 32  # images in a batch, however large they are


@dataclass(frozen=True)
class Evaluation:
    """The mean loss, and for each image the probability of each class, float32 (N, classes)."""

    loss: float
    probabilities: np.ndarray
    targets: np.ndarray

    @property
    def predictions(self) -> np.ndarray:
        return self.probabilities.argmax(axis=1)

    @property
    def accuracy(self) -> float:
        return float((self.predictions == self.targets).mean())

    def confusion(self) -> np.ndarray:
        return confusion_matrix(self.targets, self.predictions, self.probabilities.shape[1])


def evaluate(
    model: nn.Module,
    images: np.ndarray,
    targets: np.ndarray,
    prepare: Preparation,
    device: Device = CPU,
    label: str = "testing",
    after_batch: Callable[[], None] = lambda: None,
    ten_crop: bool = False,
) -> Evaluation:
    """The model in evaluation mode on uint8 images (N, H, W) with their classes (N,).

    `after_batch` is called between batches; what it raises ends the evaluation. With `ten_crop`,
    probabilities are means over what `prepare.views` shows of each image.
    """
    model.eval()
    batch_size = max(FEWEST, PIXELS // prepare.side(images) ** 2)
    found = []  # for each batch, the logarithms of what each view makes probable
    with minigrad.no_grad(), Progress(label, len(images)) as progress:
        for views in resident.views(images, prepare, device, batch_size, ten_crop):
            found.append([F.log_softmax(model(x), 1) for x in views])
            progress.advance(len(views[0]))
            after_batch()
    loss = 0.0
    probabilities = []
    for i, logs in enumerate(found):  # only now does anybody wait for a GPU
        mean = np.logaddexp.reduce([log.cpu().numpy() for log in logs])  # (N, classes)
        mean -= np.float32(np.log(len(logs)))
        part = targets[i * batch_size : (i + 1) * batch_size, None]
        loss -= float(np.take_along_axis(mean, part, 1).sum())
        probabilities.append(np.exp(mean))
    return Evaluation(loss / len(images), np.concatenate(probabilities), targets)


# --------------------------------------------------------------------------------- the command


@dataclass(frozen=True)
class Trained:
    """A trained network, ready to be used; `about` is what its weights file says of it."""

    path: Path
    model: nn.Module
    about: dict[str, Any]
    prepare: Preparation

    def pictures(self, files: Sequence[str]) -> Pictures:
        """Files of any kind as this network was shown them, if it was fine-tuned."""
        side, grey = self.about["resize"], self.about["in_channels"] == 1
        return Pictures(files, side, self.prepare.crop_from, grey)


def load_trained(run: str, which: str, device: Device) -> Trained:
    """The network in a run folder, its "last" or "best" weights, or in a weights file.

    Raises:
        InputError: no such run, it has no weights yet, or the file is not of this project.
    """
    path = Path(run)
    if not path.is_file():
        folder = Run.existing(run)
        path = folder.best if which == "best" else folder.last
        if not path.is_file():
            raise InputError(f"{run} has no {path.name}: no epoch of this run was finished")
    model, about = checkpoint.load_model(path)
    return Trained(path, model.to(device).eval(), about, Preparation.from_json(about))


def command(args: argparse.Namespace) -> int:
    """`alexnet evaluate RUN`: all test images, each class, and what is confused most."""
    device, device_line = choose_device(args.device or "auto")
    trained = load_trained(args.run, args.weights, device)
    about = trained.about
    find = folder_tested if about["dataset"] == FOLDER else garments_tested
    data = find(args, trained)
    say(
        f"testing {about['model']} on {data.name}",
        f"weights   {trained.path}, after epoch {about['epoch']}",
        f"device    {device_line}",
        f"data      {data.source}; {len(data.labels):,} test images",
    )
    with stopwatch() as seconds:
        result = evaluate(
            trained.model, data.images, data.labels, trained.prepare, device,
            ten_crop=trained.prepare.ten_crop,
        )  # fmt: skip
    say("", *class_table(result, data.classes), "")
    say(*most_confused(result, data.classes), "")
    crops = ", ten crops each," if trained.prepare.ten_crop else ","
    say(
        f"test accuracy {result.accuracy:.2%}, loss {result.loss:.4f}{crops} on all "
        f"{len(data.labels):,} test images of {data.name}, in {seconds[0]:.1f} s"
    )
    return 0


class Tested(NamedTuple):
    """What `alexnet evaluate` tests on: uint8 images with their classes, and what to call them."""

    images: Any
    labels: np.ndarray
    classes: Sequence[str]
    name: str
    source: str


def garments_tested(args: argparse.Namespace, trained: Trained) -> Tested:
    """Fashion-MNIST's test images, or the stand-in's."""
    dataset = args.dataset or trained.about["dataset"]
    data = datasets.load(dataset, args.data_dir, limit_train=10)
    name = STAND_IN if data.stand_in else "Fashion-MNIST"
    return Tested(data.test_images, data.test_labels, data.classes, name, data.source)


def folder_tested(args: argparse.Namespace, trained: Trained) -> Tested:
    """The pictures that a fine-tuned network was tested on, or all of another folder.

    Raises:
        InputError: Fashion-MNIST was asked for, or no picture can be read.
    """
    if args.dataset:
        raise InputError(f"{trained.path} was trained on a folder of pictures: leave out --dataset")
    about = trained.about
    folder = args.data_dir or about["data_dir"]
    if args.data_dir:
        half = folders.half_of(folder, about["classes"])
    else:
        half = tested_half(folder, trained)
    pictures = trained.pictures(half.files)
    kept, skipped = folders.sift(pictures, "reading")
    folders.say_skipped(skipped)
    if not len(kept):
        raise InputError(f"{folder} has no picture that can be read and tested on")
    pictures = trained.pictures([half.files[i] for i in kept])
    return Tested(pictures, half.labels[kept], about["classes"], f"pictures in {folder}", folder)


def tested_half(folder: str, trained: Trained) -> Half:
    """The test pictures that the run of a network lists, less those that are gone.

    The split is drawn anew where there is no list, which is another if the folder has changed.
    """
    about = trained.about
    listed = [p for p in Run(trained.path.parent).read_pictures() if p.half == "test"]
    if not listed:
        say(
            f"{trained.path.parent} does not list its test pictures: they are chosen anew, and are "
            f"the same only if no picture came to {folder} or went since"
        )
        return folders.halves(folder, about["val_fraction"], about["seed"]).test
    root, labels = folders.existing(folder), [about["classes"].index(p.class_name) for p in listed]
    half = Half([str(root / p.file) for p in listed], np.array(labels, np.int64))
    there = np.array([Path(file).is_file() for file in half.files])
    if not there.all():
        gone = f"{(~there).sum():,} of the {len(there):,} test pictures of this run are gone"
        say(folders.printable(f"{gone}, such as {half.files[there.argmin()]}"))
    return half.chosen(np.flatnonzero(there))


def class_table(result: Evaluation, classes: Sequence[str]) -> list[str]:
    """A line a class: how many of its images were found, how many of those named so are of it."""
    matrix = result.confusion()
    found, named = matrix.sum(axis=1), matrix.sum(axis=0)
    rows: list[tuple[str, ...]] = [("class", "images", "found", "right when named")]
    for k, name in enumerate(classes):
        recall = f"{matrix[k, k] / found[k]:.1%}" if found[k] else "-"
        precision = f"{matrix[k, k] / named[k]:.1%}" if named[k] else "-"
        rows.append((name, f"{found[k]:,}", recall, precision))
    return align(rows, "<>>>")


def most_confused(result: Evaluation, classes: Sequence[str], count: int = 5) -> list[str]:
    """The most frequent mistakes."""
    matrix = result.confusion()
    np.fill_diagonal(matrix, 0)
    lines = []
    for place in np.argsort(-matrix, axis=None, kind="stable")[:count]:
        true, predicted = np.unravel_index(place, matrix.shape)
        if matrix[true, predicted]:
            lines.append(
                f"{matrix[true, predicted]:,} x {classes[true]} taken for {classes[predicted]}"
            )
    return lines
