"""Windows, colours and angles at random: torchvision's arithmetic on Pillow's pixels."""

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from alexnet import transforms
from alexnet.transforms import InterpolationMode
from minigrad import Tensor, manual_seed


@pytest.fixture
def picture():
    ramp = np.linspace(0, 255, 24 * 36 * 3).reshape(24, 36, 3)
    noise = np.random.default_rng(0).integers(0, 64, (24, 36, 3))
    return Image.fromarray(((ramp + noise) % 256).astype(np.uint8))


def same(a, b):
    assert a.mode == b.mode
    np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


# ------------------------------------------------------------------------------------------- Resize


@pytest.mark.parametrize("mode", InterpolationMode)
def test_resize_by_every_filter_of_pillow(picture, mode):
    filters = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}
    expected = picture.resize((15, 10), filters[mode.value])
    for interpolation in (mode, filters[mode.value], Image.Resampling(filters[mode.value])):
        same(transforms.Resize((10, 15), interpolation)(picture), expected)


def test_resize_refuses_what_it_would_do_wrong(picture):
    tensor = transforms.ToTensor()(picture)
    assert transforms.Resize((10, 15), antialias=True)(tensor).shape == (3, 10, 15)
    assert transforms.Resize((10, 15), antialias=None)(tensor).shape == (3, 10, 15)
    same(transforms.Resize((10, 15), antialias=False)(picture), picture.resize((15, 10), 2))
    for options in ({"antialias": False}, {"interpolation": InterpolationMode.BICUBIC}):
        with pytest.raises(NotImplementedError, match=r"\[Resize\] a Tensor is .* before ToTensor"):
            transforms.Resize(8, **options)(tensor)
    with pytest.raises(NotImplementedError, match="max_size"):
        transforms.Resize(8, max_size=12)
    with pytest.raises(ValueError, match=r"\[InterpolationMode\] expected one of .* got 'linear'"):
        transforms.Resize(8, "linear")


# -------------------------------------------------------------------------------- RandomResizedCrop


def test_windows_are_where_and_as_large_as_they_may_be(picture):
    manual_seed(0)
    crop = transforms.RandomResizedCrop(8, scale=(0.2, 0.5), ratio=(0.5, 2.0))
    areas, aspects, corners = [], [], set()
    for _ in range(2000):
        top, left, h, w = crop._window(24, 36)
        assert 0 <= top <= 24 - h and 0 <= left <= 36 - w
        areas.append(h * w / (24 * 36))
        aspects.append(w / h)
        corners.add((top == 0, top == 24 - h, left == 0, left == 36 - w))
    assert 0.17 < min(areas) < 0.22 and 0.48 < max(areas) < 0.53  # sides are whole numbers
    assert np.mean(areas) == pytest.approx(0.35, abs=0.01)  # uniform
    assert np.mean(np.log(aspects)) == pytest.approx(0, abs=0.05)  # wide as often as high
    assert 0.45 < min(aspects) < 0.6 and 1.7 < max(aspects) < 2.2
    assert all(any(corner[i] for corner in corners) for i in range(4))


def test_the_window_is_cut_out_and_resized(picture, monkeypatch):
    crop = transforms.RandomResizedCrop((9, 7))
    monkeypatch.setattr(crop, "_window", lambda height, width: (2, 5, 17, 20))
    same(crop(picture), picture.crop((5, 2, 25, 19)).resize((7, 9), 2))
    tensor = Tensor(np.moveaxis(np.asarray(picture), -1, 0).copy())
    result = np.moveaxis(crop(tensor).numpy(), 0, -1)
    np.testing.assert_array_equal(result, np.asarray(crop(picture)))


@pytest.mark.parametrize(
    ("size", "window"),
    [((10, 100), (0, 43, 10, 13)), ((100, 10), (43, 0, 13, 10)), ((12, 12), (0, 0, 12, 12))],
)
def test_where_no_window_fits_the_middle_is_taken(size, window):
    """Windows larger than any image; of aspects from 3/4 to 4/3 the largest is as torchvision's."""
    assert transforms.RandomResizedCrop(8, scale=(50, 60))._window(*size) == window


# -------------------------------------------------------------------------------------- ColorJitter


@pytest.mark.parametrize(
    ("name", "enhancer"),
    [
        ("brightness", ImageEnhance.Brightness),
        ("contrast", ImageEnhance.Contrast),
        ("saturation", ImageEnhance.Color),
    ],
)
def test_one_colour_property_is_pillows_enhancer(picture, name, enhancer):
    same(transforms.ColorJitter(**{name: (1.3, 1.3)})(picture), enhancer(picture).enhance(1.3))


@pytest.mark.parametrize("shift", [0.2, -0.2, 0.5])
def test_hue_goes_round(picture, shift):
    hue, saturation, value = picture.convert("HSV").split()
    turned = (np.asarray(hue, int) + int(shift * 255)) % 256
    expected = Image.merge("HSV", (Image.fromarray(turned.astype(np.uint8)), saturation, value))
    same(transforms.ColorJitter(hue=(shift, shift))(picture), expected.convert("RGB"))
    gray = picture.convert("L")
    assert transforms.ColorJitter(hue=0.3)(gray) is gray


def test_jitter_draws_factors_and_order(picture):
    manual_seed(1)
    jitter = transforms.ColorJitter(0.4, (0.5, 1.5), 0.2, 0.1)
    results = {np.asarray(jitter(picture)).tobytes() for _ in range(20)}
    assert len(results) == 20
    means = [np.asarray(transforms.ColorJitter(brightness=0.5)(picture)).mean() for _ in range(200)]
    mean = np.asarray(picture).mean()
    assert 0.48 < min(means) / mean < 0.55 and 1.2 < max(means) / mean < 1.5  # white stays white
    assert transforms.ColorJitter()(picture) is picture
    # Contrast to nothing, then twice as bright, or the other way: one colour each, not the same.
    both = transforms.ColorJitter(brightness=(2, 2), contrast=(0, 0))
    assert len({np.asarray(both(picture)).max() for _ in range(30)}) == 2


# ------------------------------------------------------------------------------------------- others


def test_grayscale(picture):
    same(transforms.Grayscale()(picture), picture.convert("L"))
    three = np.asarray(transforms.Grayscale(3)(picture))
    assert three.shape == (24, 36, 3) and (three == three[..., :1]).all()
    tensor = transforms.ToTensor()(picture)
    gray = transforms.Grayscale(3)(tensor)
    assert gray.shape == (3, 24, 36) and gray.dtype == np.float32
    np.testing.assert_allclose(gray.numpy()[2] * 255, three[..., 0], atol=1.01)
    assert transforms.Grayscale()(gray).shape == (1, 24, 36)


def test_rotation(picture):
    same(transforms.RandomRotation((90, 90), expand=True)(picture), picture.rotate(90, expand=True))
    turned = picture.rotate(30, 2, center=(3, 4), fillcolor=(7, 7, 7))
    bilinear = InterpolationMode.BILINEAR
    rotation = transforms.RandomRotation((30, 30), bilinear, center=(3, 4), fill=7)
    same(rotation(picture), turned)
    manual_seed(0)
    angles = []
    for _ in range(100):
        picture.rotate = lambda angle, *how, **more: angles.append(angle)
        transforms.RandomRotation(20)(picture)
    assert -20 <= min(angles) < -15 and 15 < max(angles) <= 20


def test_vertical_flip(picture):
    flipped = transforms.RandomVerticalFlip(1.0)(picture)
    same(flipped, picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM))
    assert transforms.RandomVerticalFlip(0.0)(picture) is picture


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_to_pil_image_undoes_to_tensor(picture, mode):
    image = picture.convert(mode)
    same(transforms.ToPILImage()(transforms.ToTensor()(image)), image)
    same(transforms.ToPILImage()(np.asarray(image)), image)
    bytes_first = np.moveaxis(np.atleast_3d(np.asarray(image)), -1, 0).copy()
    same(transforms.ToPILImage()(Tensor(bytes_first)), image)
    with pytest.raises(ValueError, match=r"\[ToPILImage\] expected one image .* \(5, 8, 8\)"):
        transforms.ToPILImage()(Tensor(np.zeros((5, 8, 8), np.float32)))


def test_random_crop_pads_as_it_is_told(picture):
    array = np.asarray(picture)
    for mode in ("edge", "reflect", "symmetric"):
        padded = np.pad(array, [(3, 3), (3, 3), (0, 0)], mode)
        crop = transforms.RandomCrop((30, 42), padding=3, padding_mode=mode)
        np.testing.assert_array_equal(np.asarray(crop(picture)), padded)
    out = np.asarray(transforms.RandomCrop((30, 36), pad_if_needed=True, fill=9)(picture))
    assert out.shape == (30, 36, 3) and (out == 9).all(axis=(1, 2)).sum() == 6


def test_normalize_takes_numbers_too():
    x = Tensor(np.full((3, 2, 2), 0.75, np.float32))
    assert (transforms.Normalize((0.5), (0.25), inplace=True)(x).numpy() == 1).all()
    assert (x.numpy() == 0.75).all()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: transforms.ColorJitter(brightness=-1), ValueError, "brightness is a single"),
        (lambda: transforms.ColorJitter(hue=0.6), ValueError, "hue values should be between -0.5"),
        (lambda: transforms.ColorJitter(contrast=(2, 1)), ValueError, "contrast values"),
        (lambda: transforms.RandomRotation(-3), ValueError, "degrees is a single number"),
        (lambda: transforms.Grayscale(2), ValueError, "num_output_channels must be 1 or 3, got 2"),
        (lambda: transforms.RandomResizedCrop(8, (1, 0.5)), ValueError, r"\(min, max\)"),
        (lambda: transforms.RandomCrop(8, padding_mode="wrap"), ValueError, "padding_mode 'wrap'"),
        (lambda: transforms.RandomVerticalFlip(2), ValueError, r"\[RandomVerticalFlip\] p must"),
        *(
            (lambda t=t: t(Tensor(np.zeros((2, 8, 8)))), TypeError if i else ValueError, name)
            for i, (t, name) in enumerate([
                (transforms.Grayscale(), r"\[Grayscale\] expected a Tensor \(..., 1 or 3, H, W\)"),
                (transforms.ColorJitter(0.5), r"\[ColorJitter\] expected a PIL image, got Tensor"),
                (transforms.RandomRotation(5), r"\[RandomRotation\] expected a PIL image"),
            ])
        ),
    ],
)
def test_what_is_wrong_is_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_they_print_as_torchvisions():
    listed = [
        transforms.Resize(256),
        transforms.Resize((8, 9), InterpolationMode.NEAREST),
        transforms.CenterCrop(224),
        transforms.RandomCrop(32, padding=4),
        transforms.RandomResizedCrop(224),
        transforms.RandomHorizontalFlip(),
        transforms.RandomVerticalFlip(0.1),
        transforms.ColorJitter(0.4, (0.5, 1.5)),
        transforms.RandomRotation(10),
        transforms.Grayscale(3),
        transforms.ToPILImage(),
        transforms.Normalize([0.5], [0.25]),
    ]
    assert repr(transforms.Compose(listed)).splitlines()[1:-1] == [
        "    Resize(size=256, interpolation=bilinear, max_size=None, antialias=True)",
        "    Resize(size=(8, 9), interpolation=nearest, max_size=None, antialias=True)",
        "    CenterCrop(size=(224, 224))",
        "    RandomCrop(size=(32, 32), padding=4)",
        "    RandomResizedCrop(size=(224, 224), scale=(0.08, 1.0), ratio=(0.75, 1.3333), "
        "interpolation=bilinear, antialias=True)",
        "    RandomHorizontalFlip(p=0.5)",
        "    RandomVerticalFlip(p=0.1)",
        "    ColorJitter(brightness=(0.6, 1.4), contrast=(0.5, 1.5), saturation=None, hue=None)",
        "    RandomRotation(degrees=[-10.0, 10.0], interpolation=nearest, expand=False, fill=0)",
        "    Grayscale(num_output_channels=3)",
        "    ToPILImage()",
        "    Normalize(mean=[0.5], std=[0.25])",
    ]
