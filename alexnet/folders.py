"""Pictures in folders: torchvision's `ImageFolder`, and what `alexnet finetune` reads.

`ImageFolder` gives one picture at a time and stops at the first that is damaged. A run cannot
afford that: `halves` finds the pictures and what they are tested on, `Pictures` stands for their
arrays without holding them, and `sift` goes through all of them once and says which can be used.
Next: `finetune.py`.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from alexnet import transforms
from alexnet.console import Progress, counted, say
from alexnet.errors import InputError
from alexnet.pictures import FilePath, Unreadable, pil_loader, read
from minigrad.utils.data import DataLoader, Dataset

IMG_EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
FOLDER = "folder"  # what a run calls a data set of this kind
TRAINING, TESTING = "train", ("val", "valid", "validation", "test")
NAMED = re.compile(r"(.+?)[._-]\d+\.[^.]+")  # cat.0.jpg, great_pyrenees_12.jpg
READ_TOGETHER = 32  # pictures in memory at once
SHOWN = 10  # skipped files that are named on the screen

# ---------------------------------------------------------------------------------- torchvision's


class ImageFolder(Dataset):
    """torchvision.datasets.ImageFolder, a folder for each class; item i is (picture, class index).

    The classes are the names of the folders in `root`, sorted; their pictures are the files below,
    at any depth, sorted as well. A picture is a PIL image of mode RGB unless `transform` makes
    something else of it.

    Args:
        loader: makes a picture of a path; see `pictures.pil_loader`.
        is_valid_file: says of a path whether it is a picture; by default IMG_EXTENSIONS do.
        allow_empty: whether a class may have no picture.

    Attributes: `classes`, `class_to_idx`, `samples` (also `imgs`): a list of (path, class index),
    and `targets`: the class indices alone.

    Raises:
        FileNotFoundError: `root` does not exist or has no folders, or classes have no pictures:
            names them.
        PIL.Image.DecompressionBombError: (an item) a picture too large to be safe.
    """

    def __init__(
        self,
        root: FilePath,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        loader: Callable[[str], Any] = pil_loader,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> None:
        self.root, self.loader = root, loader
        self.transform, self.target_transform = transform, target_transform
        self.extensions = IMG_EXTENSIONS if is_valid_file is None else None
        self.classes, self.class_to_idx = self.find_classes(root)
        valid = is_valid_file or is_picture
        self.samples = [
            (path, index)
            for name, index in self.class_to_idx.items()
            for path in files_below(os.path.join(root, name))
            if valid(path)
        ]
        self.imgs = self.samples
        self.targets = [index for _, index in self.samples]
        filled = set(self.targets)
        empty = [name for name, index in self.class_to_idx.items() if index not in filled]
        if empty and not allow_empty:
            wanted = f" with {', '.join(IMG_EXTENSIONS)}" if is_valid_file is None else ""
            raise FileNotFoundError(
                f"[ImageFolder] no pictures{wanted} for {', '.join(empty)} in {root}; fill or "
                "remove the folder, or use allow_empty=True"
            )

    def find_classes(self, directory: FilePath) -> tuple[list[str], dict[str, int]]:
        """The classes and their indices: to be overridden where folders mean something else."""
        classes = sorted(entry.name for entry in os.scandir(directory) if entry.is_dir())
        if not classes:
            raise FileNotFoundError(f"[ImageFolder] {directory} has no folders, one a class, in it")
        return classes, {name: index for index, name in enumerate(classes)}

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        path, target = self.samples[index]
        picture: Any = self.loader(path)
        if self.transform is not None:
            picture = self.transform(picture)
        return picture, target if self.target_transform is None else self.target_transform(target)

    def __len__(self) -> int:
        return len(self.samples)


def is_picture(path: str) -> bool:
    """Whether the name of a file says that it is one."""
    return path.lower().endswith(IMG_EXTENSIONS)


def files_below(folder: FilePath) -> Iterator[str]:
    """All files at any depth, also behind links to folders, folder by folder in order."""
    for place, _, names in sorted(os.walk(folder, followlinks=True)):
        yield from (os.path.join(place, name) for name in sorted(names))


def other_kinds(folder: FilePath) -> str:
    """How the names of files end that are taken for no pictures, hidden ones aside: "9 .gif"."""
    names = [Path(path).name for path in files_below(folder) if not is_picture(path)]
    endings = Counter(Path(name).suffix or name for name in names if not name.startswith("."))
    most = ", ".join(f"{n:,} {ending}" for ending, n in endings.most_common(SHOWN))
    return most + (", ..." if len(endings) > SHOWN else "")


# -------------------------------------------------------------------------------------- for a run


class Half(NamedTuple):
    """Picture files, and the index of each one's class, int64 (N,)."""

    files: list[str]
    labels: np.ndarray

    def chosen(self, indices: np.ndarray) -> Half:
        return Half([self.files[i] for i in indices], self.labels[indices])


class Halves(NamedTuple):
    """What is trained on, what is tested on, and `how` the two were told apart, in words.

    Files whose name says no class, where names should, are `nameless`.
    """

    classes: tuple[str, ...]
    train: Half
    test: Half
    how: str
    nameless: list[str]


def halves(folder: FilePath, fraction: float, seed: int) -> Halves:
    """The pictures of a data set: in a folder for each class, or all in one and named after their
    class (cat.0.jpg, as on Kaggle); either may be in train/ and val/ (or test/) in `folder`.

    Where there is nothing apart to test on, `fraction` of each class is, chosen by `seed`. Hidden
    folders are no classes.

    Raises:
        InputError: no such folder, no classes in it, only one, or one without enough pictures.
    """
    root = existing(folder)
    for train_root in (root / TRAINING, root):
        if train_root.is_dir():
            classes, half, nameless = labelled(train_root)
            if classes:  # otherwise train/ may itself be a class
                break
    if len(classes) < 2:
        raise InputError(
            f"{train_root} has pictures of {classes[0]} alone: there is nothing to tell it from"
            if classes
            else f"{train_root} has neither a folder of pictures for each class nor pictures named "
            "after their class, as cat.0.jpg is"
        )
    unsayable = [name for name in classes if not name.isprintable()]
    if unsayable:
        raise InputError(f"{train_root} has a class whose name cannot be printed: {unsayable[0]!r}")
    counts = np.bincount(half.labels, minlength=len(classes))
    empty = [name for name, count in zip(classes, counts, strict=True) if count == 0]
    if empty:
        raise InputError(
            f"{train_root} has no picture of {', '.join(empty)} ({', '.join(IMG_EXTENSIONS)}): "
            "fill or remove the folder"
        )
    if train_root != root:
        for test_root in (root / name for name in TESTING if (root / name).is_dir()):
            test = half_of(test_root, classes)
            if len(test.files):  # Kaggle's test pictures have no classes
                return Halves(classes, half, test, f"tested on {test_root.name}/", nameless)
    if counts.min() < 2:
        raise InputError(
            f"{train_root} has a single picture of {classes[counts.argmin()]}, and one is needed "
            "to train and one to test: add pictures, or put those to test on into val/"
        )
    chosen = stratified_mask(half.labels, fraction, seed)
    how = f"tested on {fraction:.0%} of each class, chosen by seed {seed}"
    train, test = (half.chosen(np.flatnonzero(mask)) for mask in (~chosen, chosen))
    return Halves(classes, train, test, how, nameless)


def half_of(folder: FilePath, known: Sequence[str]) -> Half:
    """All pictures in `folder`, numbered by the classes `known`; none if they have no classes.

    Raises:
        InputError: no such folder, or classes that are not known.
    """
    classes, half, _ = labelled(existing(folder))
    strange = [name for name in classes if name not in known]
    if strange:
        raise InputError(
            f"{folder} has {', '.join(strange)}, but the network knows only {', '.join(known)}"
        )
    return Half(half.files, np.array([known.index(name) for name in classes])[half.labels])


def below(folder: FilePath, file: FilePath) -> str:
    """The path of `file` in `folder`, with slashes on any system."""
    return Path(file).relative_to(folder).as_posix()


def labelled(folder: Path) -> tuple[tuple[str, ...], Half, list[str]]:
    """The classes in `folder`, all its pictures, and those whose name says no class."""
    folders = sorted(path.name for path in folder.iterdir() if path.is_dir())
    names = [name for name in folders if not name.startswith(".")]
    if names:
        files = [(file, name) for name in names for file in files_below(folder / name)]
    else:
        files = [(str(path), _class_in(path.name)) for path in sorted(folder.iterdir())]
        names = sorted({name for file, name in files if name and is_picture(file)})
    found = [(file, name) for file, name in files if name and is_picture(file)]
    nameless = [file for file, name in files if not name and is_picture(file)]
    index = {name: k for k, name in enumerate(names)}
    labels = np.array([index[name] for _, name in found], np.int64)
    return tuple(names), Half([path for path, _ in found], labels), nameless


def _class_in(name: str) -> str:
    named = NAMED.fullmatch(name)
    return named[1] if named else ""


def stratified_mask(labels: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """True for `fraction` of each class, rounded, at least for one picture, and never for all."""
    rng = np.random.default_rng(seed)
    chosen = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        items = rng.permutation(np.flatnonzero(labels == label))
        chosen[items[: min(max(1, round(fraction * len(items))), len(items) - 1)]] = True
    return chosen


def existing(folder: FilePath) -> Path:
    path = Path(folder)
    if not path.is_dir():
        what = "is a file, not a folder" if path.exists() else "does not exist"
        raise InputError(f"the folder of pictures {path} {what}")
    return path


class Pictures(Dataset):
    """An array uint8 (N, side, side, 3), or (N, side, side) if grey, that is read anew whenever a
    part of it is asked for: `pictures[3]`, `pictures[0:32]`, `pictures[indices]`.

    Each picture is resized so that its shorter side is a little longer, see `around`, and its
    middle is taken. With `crop_from` both are that long, instead of `side`: crops are left to do.

    Raises (where it is read):
        Unreadable: as `pictures.read`, or a picture so narrow that resizing makes it huge.
    """

    def __init__(
        self, files: Sequence[str], side: int, crop_from: int | None = None, grey: bool = False
    ) -> None:
        self.files, self.mode = files, "L" if grey else "RGB"
        self.resized = crop_from or around(side)
        self.crop = transforms.CenterCrop(crop_from or side)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, which: Any) -> np.ndarray:
        if np.ndim(which) == 0 and not isinstance(which, slice):
            return self.picture(self.files[which])
        indices = np.arange(len(self))[which]
        return np.stack([self.picture(self.files[i]) for i in indices])

    def picture(self, path: str) -> np.ndarray:
        from PIL import Image

        picture = read(path, self.mode)
        short, long = sorted(picture.size)
        most = Image.MAX_IMAGE_PIXELS
        if most is not None and self.resized**2 * long > most * short:
            raise Unreadable(path, f"too narrow ({picture.width} x {picture.height})")
        return np.asarray(self.crop(transforms.Resize(self.resized)(picture)))

    def get_batch(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray, dict[str, str]]:
        """What can be read of these, their indices, and why the others cannot."""
        good, bad = {}, {}
        for i in indices:
            try:
                good[i] = self.picture(self.files[i])
            except Unreadable as error:
                bad[self.files[i]] = error.reason
        return np.array([*good.values()]), np.array([*good], np.int64), bad


def printable(text: str) -> str:
    """What may be shown of it: a file may have any name, and a terminal believes it."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def say_skipped(skipped: dict[str, str]) -> None:
    """Name the files that cannot be used, each with the reason: the first ones at least."""
    if skipped:
        say(f"skipped {counted(len(skipped), 'file')} that cannot be used:")
        for file, reason in [*skipped.items()][:SHOWN]:
            say(printable(f"  {file}: {reason}"))
    if len(skipped) > SHOWN:
        say(f"  and {len(skipped) - SHOWN:,} more")


def around(side: int) -> int:
    """The shorter side of a picture of which `side` x `side` will be cut out: 256 for 224."""
    return round(side * 256 / 224)


def sift(
    pictures: Pictures,
    label: str,
    use: Callable[[np.ndarray], None] = lambda images: None,
    after_batch: Callable[[], None] = lambda: None,
) -> tuple[np.ndarray, dict[str, str]]:
    """Read all pictures once; returns the indices of those that can be used, and for each other
    file why it cannot.

    `use` gets the good ones in order, batch by batch; a thread reads ahead meanwhile. What
    `after_batch` raises ends it.
    """
    kept, skipped = [np.zeros(0, np.int64)], {}
    with Progress(label, len(pictures)) as progress:
        for images, indices, bad in DataLoader(pictures, READ_TOGETHER, num_workers=1):
            if len(indices):
                use(images)
            kept.append(indices)
            skipped.update(bad)
            progress.advance(len(indices) + len(bad))
            after_batch()
    return np.concatenate(kept), skipped
