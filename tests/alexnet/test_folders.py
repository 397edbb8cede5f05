"""Pictures in folders: `ImageFolder` as torchvision has it, and what a run finds and leaves out."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from alexnet import datasets, transforms
from alexnet.datasets import ImageFolder
from alexnet.errors import InputError
from alexnet.folders import Pictures, around, half_of, halves, say_skipped, sift, stratified_mask
from minigrad.utils.data import DataLoader
from tests.alexnet.drawing import draw_folder


def picture(path, colour=(10, 20, 30), size=(8, 6)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


@pytest.fixture
def pets(tmp_path):
    """dog/b.png, dog/sub/a.JPG, cat/2.bmp, and files that are no pictures."""
    root = tmp_path / "pets"
    for name in ("dog/b.png", "dog/sub/a.JPG", "cat/2.bmp"):
        picture(root / name)
    (root / "cat/notes.txt").write_text("miaow")
    (root / "readme.md").write_text("two pets")
    return root


# ------------------------------------------------------------------------------------- ImageFolder


def test_image_folder(pets):
    data = ImageFolder(str(pets))
    assert data.classes == ["cat", "dog"]
    assert data.class_to_idx == {"cat": 0, "dog": 1}
    expected = [(f"{pets}/cat/2.bmp", 0), (f"{pets}/dog/b.png", 1), (f"{pets}/dog/sub/a.JPG", 1)]
    assert data.samples == data.imgs == expected
    assert data.targets == [0, 1, 1]
    assert len(data) == 3
    image, target = data[1]
    assert (image.mode, image.size, target) == ("RGB", (8, 6), 1)
    assert image.getpixel((0, 0)) == (10, 20, 30)
    assert datasets.ImageFolder is ImageFolder


def test_image_folder_transforms_and_batches(pets):
    prepare = transforms.Compose([transforms.Resize((4, 4)), transforms.ToTensor()])
    data = ImageFolder(pets, prepare, target_transform=lambda target: target + 10)
    images, targets = next(iter(DataLoader(data, batch_size=3, num_workers=1)))
    assert images.shape == (3, 3, 4, 4)
    assert targets.tolist() == [10, 11, 11]


def test_image_folder_takes_any_loader_and_any_files(pets):
    data = ImageFolder(
        pets, loader=lambda path: path.upper(), is_valid_file=lambda path: path.endswith("txt"),
        allow_empty=True,
    )  # fmt: skip
    assert data[0] == (f"{pets}/cat/notes.txt".upper(), 0)
    assert len(data) == 1


def test_image_folder_names_empty_classes(pets):
    (pets / "cat/2.bmp").unlink()
    (pets / "emu").mkdir()
    with pytest.raises(FileNotFoundError, match=r"\.jpg, .* for cat, emu in .*pets"):
        ImageFolder(pets)
    data = ImageFolder(pets, allow_empty=True)
    assert data.classes == ["cat", "dog", "emu"]
    assert data.targets == [1, 1]


def test_image_folder_without_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match="has no folders"):
        ImageFolder(tmp_path)
    with pytest.raises(FileNotFoundError):
        ImageFolder(tmp_path / "none")


def test_image_folder_follows_links_and_an_own_idea_of_classes(pets, tmp_path):
    (pets / "dog/more").symlink_to(pets / "cat", target_is_directory=True)
    assert len(ImageFolder(pets)) == 4

    class Dogs(ImageFolder):
        def find_classes(self, directory):
            return ["dog"], {"dog": 5}

    assert Dogs(pets).targets == [5, 5, 5]


def test_image_folder_refuses_bombs(pets, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40)
    with pytest.raises(Image.DecompressionBombError, match="2.bmp"):
        ImageFolder(pets)[0]


# ------------------------------------------------------------------------------------ what is found


def test_a_folder_a_class_is_split_by_class(tmp_path):
    draw_folder(tmp_path, 10)
    (tmp_path / ".ipynb_checkpoints").mkdir()
    found = halves(tmp_path, 0.2, seed=0)
    assert found.classes == ("bars", "disc", "frame")
    assert np.bincount(found.train.labels).tolist() == [8, 8, 8]
    assert np.bincount(found.test.labels).tolist() == [2, 2, 2]
    assert not set(found.train.files) & set(found.test.files)
    for file, label in zip(*found.train, strict=True):
        assert f"/{found.classes[label]}/" in file
    assert found.how == "tested on 20% of each class, chosen by seed 0"
    again, other = halves(tmp_path, 0.2, seed=0), halves(tmp_path, 0.2, seed=1)
    assert again.test.files == found.test.files != other.test.files


@pytest.mark.parametrize("name", ["val", "valid", "validation", "test"])
def test_train_and_val(tmp_path, name):
    draw_folder(tmp_path / "train", 3)
    draw_folder(tmp_path / name, 2, ("disc", "frame"))
    found = halves(tmp_path, 0.2, seed=0)
    assert (len(found.train.files), len(found.test.files)) == (9, 4)
    assert found.test.labels.tolist() == [1, 1, 2, 2]  # numbered as in train/
    assert found.how == f"tested on {name}/"


def test_pictures_named_after_their_class(tmp_path):
    for name in ("cat.0.jpg", "cat.1.jpg", "dog.17.jpg", "dog.18.JPEG", "great_dane_1.png",
                 "great_dane_2.png", "unknown.jpg", "notes.1.txt"):  # fmt: skip
        if name.endswith("txt"):
            (tmp_path / name).write_text("no picture")
        else:
            picture(tmp_path / name)
    found = halves(tmp_path, 0.5, seed=0)
    assert found.classes == ("cat", "dog", "great_dane")
    assert len(found.train.files) == len(found.test.files) == 3
    assert found.nameless == [str(tmp_path / "unknown.jpg")]


def test_kaggles_test_pictures_have_no_classes(tmp_path):
    for i in range(4):
        picture(tmp_path / f"train/cat.{i}.jpg")
        picture(tmp_path / f"train/dog.{i}.jpg")
        picture(tmp_path / f"test/{i}.jpg")
    found = halves(tmp_path, 0.25, seed=0)
    assert (len(found.train.files), len(found.test.files)) == (6, 2)
    assert "25%" in found.how


def test_a_class_may_be_called_train(tmp_path):
    for i in range(4):
        picture(tmp_path / f"bus/{i}.jpg")
        picture(tmp_path / f"train/{'abcd'[i]}.jpg")
    found = halves(tmp_path, 0.25, seed=0)
    assert found.classes == ("bus", "train")
    assert (len(found.train.files), len(found.test.files)) == (6, 2)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "neither a folder of pictures for each class nor pictures named after their class"),
        (["a.jpg", "b.jpg"], "neither a folder of pictures"),
        (["cat/1.jpg", "cat/2.jpg"], "pictures of cat alone: there is nothing to tell it from"),
        (["cat.1.jpg", "cat.2.jpg"], "pictures of cat alone"),
        (["cat/1.jpg", "cat/2.jpg", "dog/1.txt", "emu/1.txt"], "has no picture of dog, emu"),
        (["cat/1.jpg", "cat/2.jpg", "dog/1.jpg"], "a single picture of dog"),
        (["train/cat/1.jpg", "train/dog/1.jpg", "val/cat/1.jpg", "val/emu/1.jpg"],
         "val has emu, but the network knows only cat, dog"),
    ],
)  # fmt: skip
def test_folders_that_cannot_be_learned(tmp_path, files, message):
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"looked at later")
    with pytest.raises(InputError, match=message) as refused:
        halves(tmp_path, 0.2, seed=0)
    assert str(tmp_path) in str(refused.value)


def test_no_folder(tmp_path):
    with pytest.raises(InputError, match="none does not exist"):
        halves(tmp_path / "none", 0.2, seed=0)
    picture(tmp_path / "a.png")
    with pytest.raises(InputError, match="a.png is a file, not a folder"):
        halves(tmp_path / "a.png", 0.2, seed=0)


def test_every_class_is_in_both_halves():
    labels = np.repeat([0, 1, 2], [2, 3, 100])
    for fraction in (0.01, 0.2, 0.99):
        mask = stratified_mask(labels, fraction, seed=3)
        counts = np.bincount(labels[mask], minlength=3)
        assert counts[2] == round(100 * fraction)
        assert (counts >= 1).all()
        assert (np.bincount(labels[~mask], minlength=3) >= 1).all()


# ------------------------------------------------------------------------------------- as an array


def test_pictures_are_what_torchvisions_transforms_make_of_them(tmp_path):
    draw_folder(tmp_path, 3, ("disc",))
    data = ImageFolder(tmp_path)
    pictures = Pictures([path for path, _ in data.samples], side=28)
    prepare = transforms.Compose([transforms.Resize(32), transforms.CenterCrop(28)])
    assert around(28) == 32 and around(224) == 256
    expected = np.stack([np.asarray(prepare(image)) for image, _ in data])
    assert pictures[:].shape == (3, 28, 28, 3)
    np.testing.assert_array_equal(pictures[:], expected)
    np.testing.assert_array_equal(pictures[np.array([2, 0])], expected[[2, 0]])
    np.testing.assert_array_equal(pictures[1], expected[1])
    assert Pictures(pictures.files, side=28, grey=True)[:2].shape == (2, 28, 28)
    assert Pictures(pictures.files, side=28, crop_from=32)[:].shape == (3, 32, 32, 3)


def test_sift_keeps_the_good_ones_and_says_why_not_the_others(tmp_path, monkeypatch):
    draw_folder(tmp_path, 50, ("disc",))
    files = sorted(map(str, tmp_path.rglob("*.*")))
    whole = Path(files[41]).read_bytes()
    for i, content in ((0, b""), (7, b"text"), (41, whole[: len(whole) // 2])):
        Path(files[i]).write_bytes(content)
    Image.new("RGB", (2, 4000)).save(files[42])
    Image.new("RGB", (900, 900)).save(files[44])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 800_000)
    used = []
    kept, skipped = sift(Pictures(files, side=28), "reading", used.append)
    assert kept.tolist() == [i for i in range(50) if i not in (0, 7, 41, 42, 44)]
    assert np.concatenate(used).shape == (45, 28, 28, 3)
    assert list(skipped) == [files[i] for i in (0, 7, 41, 42, 44)]
    reasons = "cannot identify", "cannot identify", "runcated", "too narrow (2 x 4000)", "large"
    for said, reason in zip(skipped.values(), reasons, strict=True):
        assert reason in said


def test_sift_with_nothing_good(tmp_path):
    (tmp_path / "x.jpg").write_bytes(b"")
    kept, skipped = sift(Pictures([str(tmp_path / "x.jpg")], side=28), "reading")
    assert (len(kept), len(skipped)) == (0, 1)
    shutil.rmtree(tmp_path)
    assert len(sift(Pictures([], side=28), "reading")[0]) == 0


def test_names_of_files_are_no_commands_to_the_terminal(tmp_path, capsys):
    files = [os.fsdecode(b"\xff\n\x1b[2J.jpg")] + [f"{i}.jpg" for i in range(11)]
    say_skipped(dict.fromkeys(files, "broken"))
    said = capsys.readouterr().out.splitlines()
    assert said[:3] == [
        "skipped 12 files that cannot be used:", "  ???[2J.jpg: broken", "  0.jpg: broken"
    ]  # fmt: skip
    assert said[-1] == "  and 2 more" and len(said) == 12
    for name in (os.fsdecode(b"cat\xff"), "dog\n"):
        (tmp_path / name).mkdir()
    with pytest.raises(InputError, match=r"a class whose name cannot be printed: 'cat.udcff'"):
        halves(tmp_path, 0.2, seed=0)


def test_another_folder_to_test_on(tmp_path):
    draw_folder(tmp_path, 2, ("frame", "bars"))
    half = half_of(tmp_path, ["bars", "disc", "frame"])
    assert half.labels.tolist() == [0, 0, 2, 2]
