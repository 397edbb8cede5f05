"""Crops and colour noise against what is written here by hand."""

import numpy as np
import pytest
from PIL import Image

from alexnet import transforms
from minigrad import Tensor, manual_seed
from minigrad.backend import generator


def by_hand(a, oh, ow):
    """Top left, top right, bottom left, bottom right, centre of (H, W, ...)."""
    h, w = a.shape[:2]
    top, left = round((h - oh) / 2), round((w - ow) / 2)
    return [
        a[:oh, :ow], a[:oh, w - ow :], a[h - oh :, :ow], a[h - oh :, w - ow :],
        a[top : top + oh, left : left + ow],
    ]  # fmt: skip


def seen(crop):
    """A crop of any kind as an array (H, W, ...)."""
    return np.moveaxis(crop.numpy(), 0, -1) if isinstance(crop, Tensor) else np.asarray(crop)


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", [(4, 5), 6, (9, 12)])
@pytest.mark.parametrize("kind", [Image.fromarray, np.asarray, transforms.ToTensor()])
def test_five_and_ten_crops(image, kind, size):
    oh, ow = (size, size) if isinstance(size, int) else size
    given = kind(image)
    whole = seen(given)
    five = by_hand(whole, oh, ow)
    for transform, expected in (
        (transforms.FiveCrop(size), five),
        (transforms.TenCrop(size), five + by_hand(whole[:, ::-1], oh, ow)),
        (transforms.TenCrop(size, vertical_flip=True), five + by_hand(whole[::-1], oh, ow)),
    ):
        crops = transform(given)
        assert type(crops) is tuple
        assert len(crops) == len(expected)
        for crop, right in zip(crops, expected, strict=True):
            assert isinstance(crop, Image.Image) or type(crop) is type(given)
            np.testing.assert_array_equal(seen(crop), right)


def test_crops_of_a_batch(image):
    batch = Tensor(np.stack([image, image[::-1]]).transpose(0, 3, 1, 2).copy())  # (N, C, H, W)
    crops = transforms.TenCrop(4)(batch)
    assert [tuple(crop.shape) for crop in crops] == [(2, 3, 4, 4)] * 10
    for n in range(2):
        for crop, alone in zip(crops, transforms.TenCrop(4)(batch[n]), strict=True):
            np.testing.assert_array_equal(crop[n].numpy(), alone.numpy())


def test_the_middle_is_that_of_center_crop(image):
    for size in ((4, 5), (5, 4), (6, 9)):
        *_, middle = transforms.FiveCrop(size)(image)
        np.testing.assert_array_equal(middle, transforms.CenterCrop(size)(image))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x: transforms.FiveCrop(10)(x), r"\[FiveCrop\] size \(10, 10\) is larger than the "),
        (lambda x: transforms.TenCrop((2, 13))(x), r"\[TenCrop\] size \(2, 13\) .* \(9, 12\)"),
        (lambda x: transforms.FiveCrop((1, 2, 3)), r"\[FiveCrop\] size must be"),
        (lambda x: transforms.TenCrop(0), r"\[TenCrop\] size must be"),
    ],
)
def test_crops_that_cannot_be(image, make, message):
    with pytest.raises(ValueError, match=message):
        make(image)


def test_how_they_print():
    assert repr(transforms.FiveCrop(3)) == "FiveCrop(size=(3, 3))"
    assert repr(transforms.TenCrop(3)) == "TenCrop(size=(3, 3), vertical_flip=False)"
    assert repr(transforms.Lighting(0.1, [0.5], [[1]])) == "Lighting(alphastd=0.1, eigval=[0.5])"


@pytest.mark.parametrize("channels", [1, 3])
def test_batches_are_cropped_anywhere_and_each_image_elsewhere(channels):
    image = np.arange(6 * 7).reshape(1, 1, 6, 7)
    images = np.tile(image, (400, channels, 1, 1)) + 100 * np.arange(channels)[:, None, None]
    crops = transforms.crop_batch(images, 4, np.random.default_rng(0))
    assert crops.shape == (400, channels, 4, 4)
    corners = crops[:, 0, 0, 0]  # 7 top + left
    window = images[:, :, :4, :4] + corners[:, None, None, None]
    np.testing.assert_array_equal(crops, window)
    assert set(corners) == {7 * top + left for top in range(3) for left in range(4)}


# ---------------------------------------------------------------------------------- colour noise


@pytest.mark.parametrize("shape", [(250, 3, 4, 5), (120, 4, 5)])
def test_components_are_those_of_the_covariance(shape):
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, shape, dtype=np.uint8)
    if len(shape) == 4:
        images[:, 1] = images[:, 0] // 2 + images[:, 1] // 4  # correlated
    light = transforms.Lighting.of(images)
    pixels = images.reshape(len(images), -1, 20).transpose(1, 0, 2).reshape(-1, len(images) * 20)
    covariance = np.atleast_2d(np.cov(pixels / 255, bias=True))
    again = light.eigvec @ np.diag(light.eigval) @ light.eigvec.T
    np.testing.assert_allclose(again, covariance, atol=1e-12)
    assert list(light.eigval) == sorted(light.eigval, reverse=True)
    if len(shape) == 3:  # one channel: the variance of brightness
        assert light.eigval == pytest.approx([(images / 255).var()])


def test_the_same_colour_is_added_to_every_pixel():
    eigval, eigvec = [0.3, 0.05], [[0.6, -0.8], [0.8, 0.6]]
    light = transforms.Lighting(0.1, eigval, eigvec)
    x = np.random.default_rng(2).random((2, 3, 4)).astype(np.float32)
    manual_seed(7)
    a, b = light(x), light(Tensor(x))
    assert type(b) is Tensor and a.dtype == np.float32
    manual_seed(7)
    for out in (a, b.numpy()):
        first, second = generator("cpu").normal(0, 0.1, 2) * eigval
        colour = [0.6 * first - 0.8 * second, 0.8 * first + 0.6 * second]
        np.testing.assert_allclose(out - x, np.reshape(colour, (2, 1, 1)) + 0 * x, atol=1e-6)


def test_the_noise_has_the_papers_deviation():
    light = transforms.Lighting(0.1, [0.5, 0.1], np.eye(2))
    colours = light.colours(20_000, np.random.default_rng(0))
    assert colours.shape == (20_000, 2, 1, 1)
    assert colours.std(axis=0).ravel() == pytest.approx([0.05, 0.01], rel=0.03)
    assert colours.mean(axis=0).ravel() == pytest.approx([0, 0], abs=1e-3)


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (np.zeros((1, 4, 4), np.uint8), TypeError, r"expected a float image, got uint8; use ToT"),
        (np.zeros((3, 4, 4)), ValueError, r"of 1 channels, got shape \(3, 4, 4\)"),
        (np.zeros((4, 4)), ValueError, r"got shape \(4, 4\)"),
    ],
)
def test_images_that_cannot_be_lit(image, error, message):
    with pytest.raises(error, match=message):
        transforms.Lighting(0.1, [0.1], [[1.0]])(image)
