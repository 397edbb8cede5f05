"""Data sets under torchvision's names, and `load`, which chooses what a run trains on.

`FashionMNIST` and `ImageFolder` are for PyTorch listings (one image at a time, PIL images,
transforms); `load` is for the training loop (whole uint8 arrays, no decoding). Where Fashion-MNIST
cannot be had, `load("auto")` uses the stand-in of `drawn.py`. How the files are found, fetched and
verified is in `fashion_mnist.py`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from alexnet import drawn
from alexnet.fashion_mnist import (
    DatasetError,
    cache_dir,
    download_to,
    fashion_mnist_dir,
    named_folder,
    read_images_and_labels,
)
from alexnet.folders import ImageFolder
from alexnet.transforms.batches import Level
from minigrad import Tensor

__all__ = [
    "CLASSES",
    "NAMES",
    "DatasetError",
    "FashionMNIST",
    "ImageFolder",
    "Splits",
    "cache_dir",
    "fashion_mnist_dir",
    "load",
    "stratified_subset",
]

NAMES = ("auto", "fashion-mnist", "drawn")
CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
FASHION_MNIST_MEAN, FASHION_MNIST_STD = 0.2860, 0.3530  # of the 60,000 training images, in 0..1


class FashionMNIST:
    """torchvision.datasets.FashionMNIST: item i is `(image, class index)`.

    The image is a PIL image (28 x 28, mode L) unless `transform` makes something else of it.
    `root` is the folder above `FashionMNIST/raw`, or the folder of the four files itself; without
    it they are searched for as `fashion_mnist_dir` does.

    Attributes: `data` uint8 (N, 28, 28) and `targets` int64 (N,), both Tensors; `classes` and
    `class_to_idx`. N is 60,000 (`train=True`) or 10,000.

    Raises:
        DatasetError: the files are missing (and `download` is False), damaged, or cannot be
        downloaded.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        train: bool = True,
        download: bool = False,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
    ) -> None:
        if root is None:
            folder = fashion_mnist_dir(download=download)
        else:
            try:
                folder = named_folder(root, "the root")
            except DatasetError as error:
                if not download:
                    raise DatasetError(f"{error}, or use download=True") from None
                folder = download_to(root)
        self.root = folder
        self.train = train
        self.transform = transform
        self.target_transform = target_transform
        self.classes = list(CLASSES)
        self.class_to_idx = {name: index for index, name in enumerate(CLASSES)}
        images, labels = read_images_and_labels(folder, train)
        self.data, self.targets = Tensor(images), Tensor(labels)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        from PIL import Image

        image: Any = Image.fromarray(self.data[index].numpy())
        target: Any = self.targets[index].item()
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target


@dataclass(frozen=True)
class Splits:
    """What a run trains and tests on. Images are uint8 (N, 28, 28), labels int64 (N,) in 0..9.

    `train_indices` says which training images of the data set were taken; `mean` and `std` are of
    its whole training set, for pixels in 0..1; `source` is a sentence for people; `stand_in` is
    True for drawn data.
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    train_indices: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    classes: tuple[str, ...]
    mean: Level
    std: Level
    source: str
    stand_in: bool


def load(
    name: str = "auto",
    data_dir: str | os.PathLike[str] | None = None,
    limit_train: int | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Splits:
    """The data set `name`, of its training half a stratified subset of `limit_train` images.

    "fashion-mnist" finds or downloads the real files and never uses anything else; "drawn" is the
    stand-in; "auto" is the first where there is a copy or a network, else the second. A copy that
    exists but is damaged, and a named folder without the files, are errors for "auto" too. `seed`
    chooses the subset (of the stand-in, the first `limit_train` images are drawn, and no others:
    they are stratified already).

    Raises:
        DatasetError: unknown name, `limit_train` out of range, files missing or damaged.
    """
    if name not in NAMES:
        raise DatasetError(f"[load] unknown data set {name!r}; there are {', '.join(NAMES)}")
    if name == "drawn":
        return _load_drawn(limit_train, "the stand-in drawn by code, not Fashion-MNIST")
    try:
        folder = fashion_mnist_dir(data_dir, progress=progress)
    except DatasetError:
        if name == "fashion-mnist" or data_dir is not None or os.environ.get("MINIGRAD_DATA"):
            raise
        return _load_drawn(
            limit_train,
            "a stand-in drawn by code, NOT Fashion-MNIST: no copy is on this machine and none "
            "could be downloaded (--dataset fashion-mnist says why)",
        )
    images, labels = read_images_and_labels(folder, train=True)
    test_images, test_labels = read_images_and_labels(folder, train=False)
    indices = np.arange(len(labels))
    if limit_train is not None:
        indices = stratified_subset(labels, limit_train, seed)
    return Splits(
        name="fashion-mnist",
        train_images=images[indices],
        train_labels=labels[indices],
        train_indices=indices,
        test_images=test_images,
        test_labels=test_labels,
        classes=CLASSES,
        mean=FASHION_MNIST_MEAN,
        std=FASHION_MNIST_STD,
        source=f"Fashion-MNIST from {folder}, every file verified by its SHA-256",
        stand_in=False,
    )


def _load_drawn(limit_train: int | None, source: str) -> Splits:
    count = drawn.TRAIN_SIZE if limit_train is None else limit_train
    if not 1 <= count <= drawn.TRAIN_SIZE:
        raise DatasetError(_out_of_range(count, drawn.TRAIN_SIZE))
    train_images, train_labels = drawn.draw(count, train=True)
    test_images, test_labels = drawn.draw(drawn.TEST_SIZE, train=False)
    return Splits(
        name="drawn",
        train_images=train_images,
        train_labels=train_labels,
        train_indices=np.arange(count),
        test_images=test_images,
        test_labels=test_labels,
        classes=CLASSES,
        mean=drawn.MEAN,
        std=drawn.STD,
        source=source,
        stand_in=True,
    )


def stratified_subset(targets: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Sorted indices, int64 (n,), of a subset with the same number of every class.

    Where n is no multiple of the number of classes, some classes (chosen by the seed) get one
    more. The same seed gives nested subsets: what is in a smaller one is in every larger one, so
    that curves of accuracy against n compare like with like.

    Raises:
        DatasetError: n is not in 1..len(targets), or a class has fewer items than its share.
    """
    if not 1 <= n <= len(targets):
        raise DatasetError(_out_of_range(n, len(targets)))
    rng = np.random.default_rng(seed)
    classes = rng.permutation(np.unique(targets))
    share, extra = divmod(n, len(classes))
    chosen = []
    for position, label in enumerate(classes):
        items = rng.permutation(np.flatnonzero(targets == label))
        wanted = share + (position < extra)
        if wanted > len(items):
            raise DatasetError(
                f"[stratified_subset] class {label} has {len(items):,} items, but its share of "
                f"{n:,} is {wanted:,}; ask for at most {len(items) * len(classes):,}"
            )
        chosen.append(items[:wanted])
    return np.sort(np.concatenate(chosen))


def _out_of_range(n: int, available: int) -> str:
    return f"[limit_train] {n:,} training images were asked for; there are 1 to {available:,}"
