"""Transforms: torchvision's behaviour one image at a time, Pillow's resizing, and whole batches."""

import numpy as np
import pytest
from PIL import Image

from alexnet import transforms
from alexnet.transforms import augment_batch, normalize_batch, resize_batch
from minigrad import Tensor, manual_seed


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def pillow(image, height, width):
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))


def samples(rng, h, w):
    """Noise, hard edges, and a ramp: rounding goes wrong in different places."""
    noise = rng.integers(0, 256, (h, w), dtype=np.uint8)
    ramp = np.linspace(0, 255, h * w).reshape(h, w).astype(np.uint8)
    return np.stack([noise, np.where(noise > 127, 255, 0).astype(np.uint8), ramp])


# ------------------------------------------------------------------------------------ whole batches


@pytest.mark.parametrize("size", [224, 227, 96, 64, 32, 30, 28, 27, 20, 14, 7, 3, 1])
def test_resizing_fashion_mnist_equals_pillow_to_the_bit(rng, size):
    images = samples(rng, 28, 28)
    resized = resize_batch(images, size)
    assert resized.dtype == np.uint8 and resized.shape == (3, size, size)
    for image, result in zip(images, resized, strict=True):
        np.testing.assert_array_equal(result, pillow(image, size, size))


def test_resizing_other_shapes_equals_pillow_to_the_bit(rng):
    """Squares, and heights that do not shrink: there every Pillow goes along the rows first."""
    for _ in range(60):
        h, w, ow = rng.integers(1, 80, 3).tolist()
        oh = h + int(rng.integers(0, 60))
        images = samples(rng, h, w)
        for image, result in zip(images, resize_batch(images, (oh, ow)), strict=True):
            np.testing.assert_array_equal(result, pillow(image, oh, ow), f"{h}x{w} to {oh}x{ow}")
        square, side = samples(rng, w, w), ow
        for image, result in zip(square, resize_batch(square, side), strict=True):
            np.testing.assert_array_equal(result, pillow(image, side, side), f"{w} to {side}")


def test_resizing_any_shape_is_within_one_of_pillow(rng):
    for _ in range(60):
        h, w, oh, ow = rng.integers(1, 80, 4).tolist()
        images = samples(rng, h, w)
        for image, result in zip(images, resize_batch(images, (oh, ow)), strict=True):
            assert np.abs(result.astype(int) - pillow(image, oh, ow)).max() <= 1


def test_the_shorter_side_gets_the_size(rng):
    assert resize_batch(np.zeros((2, 28, 56), np.uint8), 14).shape == (2, 14, 28)
    assert resize_batch(np.zeros((2, 50, 20), np.uint8), 30).shape == (2, 75, 30)
    assert resize_batch(np.zeros((0, 28, 28), np.uint8), 64).shape == (0, 64, 64)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_float_images_are_resized_by_the_same_weights(rng, dtype):
    images = samples(rng, 28, 28)
    resized = resize_batch(images.astype(dtype) / 255, 50)
    assert resized.dtype == dtype
    assert np.abs(resized * 255 - resize_batch(images, 50)).max() < 1.01  # two roundings


@pytest.mark.parametrize(
    ("images", "size", "error", "message"),
    [
        (np.zeros((1, 4, 4), np.int64), 8, TypeError, r"\[Resize\] expected uint8 or float"),
        (np.zeros((1, 4, 4), np.uint8), 0, ValueError, r"\[Resize\] size must be a positive"),
        (np.zeros((1, 4, 4), np.uint8), (2, 3, 4), ValueError, r"got \(2, 3, 4\)"),
    ],
)
def test_resizing_says_what_it_does_not_do(images, size, error, message):
    with pytest.raises(error, match=message):
        resize_batch(images, size)


def test_augmentation_mirrors_and_nothing_else(rng):
    image = rng.integers(0, 256, (28, 28), dtype=np.uint8)
    batch = np.repeat(image[None], 2000, axis=0)
    out = augment_batch(batch, rng)
    assert out.dtype == np.uint8 and out.shape == batch.shape and out.flags.c_contiguous
    possible = {image.tobytes(): False, image[:, ::-1].tobytes(): True}
    flips = [possible[result.tobytes()] for result in out]  # KeyError: something else was done
    assert 0.45 < np.mean(flips) < 0.55


def test_augmentation_leaves_its_input_and_follows_the_seed(rng):
    images = rng.integers(0, 256, (64, 28, 28), dtype=np.uint8)
    before = images.copy()
    first = augment_batch(images, np.random.default_rng(1))
    assert (images == before).all()
    assert (augment_batch(images, np.random.default_rng(1)) == first).all()
    assert (augment_batch(images, np.random.default_rng(2)) != first).any()
    assert augment_batch(images[:0], rng).shape == (0, 28, 28)


def test_normalizing_equals_to_tensor_and_normalize(rng):
    images = rng.integers(0, 256, (5, 28, 28), dtype=np.uint8)
    out = normalize_batch(images, 0.2860, 0.3530)
    assert out.shape == (5, 1, 28, 28) and out.dtype == np.float32
    np.testing.assert_allclose(out[:, 0], (images / 255 - 0.2860) / 0.3530, rtol=0, atol=1e-6)
    one = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.2860,), (0.3530,))])
    for image, expected in zip(images, out, strict=True):
        np.testing.assert_array_equal(one(image).numpy(), expected)


def test_colour_batches_are_mirrored_and_normalized_as_single_pictures_are(rng):
    images = rng.integers(0, 256, (6, 20, 24, 3), dtype=np.uint8)
    planes = np.moveaxis(images, -1, 1)  # (N, C, H, W)
    mirrored = augment_batch(planes, np.random.default_rng(2))
    for image, result in zip(planes, mirrored, strict=True):
        assert (result == image).all() or (result == image[..., ::-1]).all()
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    out = normalize_batch(planes, mean, std)
    assert out.shape == (6, 3, 20, 24) and out.dtype == np.float32 and out.flags.c_contiguous
    one = transforms.Compose([transforms.ToTensor(), transforms.Normalize(mean, std)])
    for image, expected in zip(images, out, strict=True):
        np.testing.assert_array_equal(one(image).numpy(), expected)


# ------------------------------------------------------------------------------ one image at a time


def kinds(array):
    """An image (H, W, C) or (H, W), uint8, as everything that the transforms take."""
    planes = np.moveaxis(np.atleast_3d(array), -1, 0)
    return {"PIL": Image.fromarray(array), "array": array, "tensor": Tensor(planes.copy())}


def pixels(image):
    """Back to (H, W, C)."""
    if isinstance(image, Tensor):
        return np.moveaxis(image.numpy(), 0, -1)
    return np.atleast_3d(np.asarray(image))


@pytest.mark.parametrize("channels", [1, 3])
def test_to_tensor(rng, channels):
    array = rng.integers(0, 256, (5, 7, channels), dtype=np.uint8)
    array = array[:, :, 0] if channels == 1 else array
    for kind in ("PIL", "array"):
        out = transforms.ToTensor()(kinds(array)[kind])
        assert isinstance(out, Tensor) and out.shape == (channels, 5, 7)
        assert out.dtype == np.float32
        np.testing.assert_array_equal(pixels(out), np.float32(np.atleast_3d(array)) / 255)


def test_to_tensor_scales_bytes_only():
    out = transforms.ToTensor()(np.full((2, 3), 7.0))
    assert out.dtype == np.float64 and out.numpy().max() == 7
    black_and_white = Image.fromarray(np.array([[True, False]]))
    assert transforms.ToTensor()(black_and_white).tolist() == [[[1.0, 0.0]]]
    with pytest.raises(ValueError, match=r"\[ToTensor\] expected an image .* got shape \(3,\)"):
        transforms.ToTensor()(np.zeros(3))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_normalize_keeps_the_dtype_and_treats_channels_apart(rng, dtype):
    array = rng.random((2, 3, 4, 5)).astype(dtype)
    normalize = transforms.Normalize((0.1, 0.2, 0.3), (0.5, 1.0, 2.0))
    for image in (array, Tensor(array), array[0]):
        out = normalize(image)
        assert type(out) is type(image) and out.dtype == dtype and out.shape == image.shape
    middle = np.asarray(normalize(array))[:, 1]
    np.testing.assert_allclose(middle, array[:, 1] - 0.2, rtol=0, atol=2e-3)


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (np.zeros((1, 2, 2), np.uint8), TypeError, r"expected a float image, got uint8; use ToT"),
        (np.zeros((2, 2, 2)), ValueError, r"mean has 3 values, but the image has 2 channels"),
        (np.zeros((2, 2)), ValueError, r"expected an image \(\.\.\., C, H, W\), got \(2, 2\)"),
    ],
)
def test_normalize_says_what_is_wrong(image, error, message):
    with pytest.raises(error, match=message):
        transforms.Normalize((0.5,) * 3, (0.5,) * 3)(image)


def test_normalize_refuses_to_divide_by_zero():
    with pytest.raises(ValueError, match=r"\[Normalize\] std must not hold a zero, got \(0\.5, 0"):
        transforms.Normalize((0.5, 0.5), (0.5, 0.0))


@pytest.mark.parametrize("kind", ["PIL", "array", "tensor"])
@pytest.mark.parametrize("shape", [(9, 12), (9, 12, 3)])
class TestGeometry:
    """The same image, as a PIL image, an array or a Tensor, gives the same pixels, of its kind."""

    @pytest.fixture
    def array(self, rng, shape):
        return rng.integers(0, 256, shape, dtype=np.uint8)

    @pytest.fixture
    def image(self, array, kind):
        return kinds(array)[kind]

    def same_kind(self, out, image):
        return isinstance(out, Image.Image) or type(out) is type(image)

    @pytest.mark.parametrize("size", [(14, 21), (14, 4), 18])
    def test_resize(self, image, array, size):
        out = transforms.Resize(size)(image)
        height, width = (18, 24) if size == 18 else size
        assert self.same_kind(out, image)
        np.testing.assert_array_equal(pixels(out), np.atleast_3d(pillow(array, height, width)))

    def test_center_crop(self, image, array):
        out = transforms.CenterCrop((4, 6))(image)
        assert self.same_kind(out, image)
        np.testing.assert_array_equal(pixels(out), np.atleast_3d(array[2:6, 3:9]))

    def test_center_crop_pads_what_is_too_small(self, image, array):
        out = pixels(transforms.CenterCrop((12, 13))(image))  # the odd row and column come last
        assert out.shape[:2] == (12, 13)
        np.testing.assert_array_equal(out[1:10, :12], np.atleast_3d(array))
        assert out.sum(dtype=int) == array.sum(dtype=int)

    def test_random_crop(self, image, array):
        padded = np.atleast_3d(np.pad(array, [(1, 1), (2, 2), (0, 0)][: array.ndim]))
        manual_seed(3)
        crop = transforms.RandomCrop((8, 10), padding=(2, 1))
        found = set()
        for _ in range(300):
            out = crop(image)
            assert self.same_kind(out, image)
            top, left = next(
                (top, left)
                for top in range(4)
                for left in range(7)
                if (padded[top : top + 8, left : left + 10] == pixels(out)).all()
            )
            found.add((top, left))
        assert found == {(top, left) for top in range(4) for left in range(7)}

    def test_flip(self, image, array):
        mirrored = np.atleast_3d(array)[:, ::-1]
        np.testing.assert_array_equal(pixels(transforms.RandomHorizontalFlip(1.0)(image)), mirrored)
        assert transforms.RandomHorizontalFlip(0.0)(image) is image
        manual_seed(0)
        flips = [(pixels(transforms.RandomHorizontalFlip()(image)) == mirrored).all()
                 for _ in range(200)]  # fmt: skip
        assert 70 < sum(flips) < 130


def test_random_transforms_follow_the_engines_seed(rng):
    image = rng.integers(0, 256, (28, 28), dtype=np.uint8)
    both = transforms.Compose([transforms.RandomCrop(28, 4), transforms.RandomHorizontalFlip()])

    def ten():
        return np.stack([both(image) for _ in range(10)])

    manual_seed(5)
    first = ten()
    assert (ten() != first).any()
    manual_seed(5)
    assert (ten() == first).all()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: transforms.CenterCrop(0), ValueError, r"\[CenterCrop\] size must be a positive"),
        (lambda: transforms.RandomCrop((3, -1)), ValueError, r"\[RandomCrop\] size .* \(3, -1\)"),
        (lambda: transforms.RandomCrop(3, (1, 2, 3)), ValueError, "takes 1, 2 or 4 numbers"),
        (lambda: transforms.RandomHorizontalFlip(1.5), ValueError, r"0\.\.1, got 1\.5"),
        (lambda: transforms.Lambda(3), TypeError, r"\[Lambda\] expected a function, got int"),
        (
            lambda: transforms.RandomCrop(9, padding=1)(np.zeros((6, 20), np.uint8)),
            ValueError,
            r"\[RandomCrop\] size \(9, 9\) is larger than the \(padded\) image \(8, 22\)",
        ),
    ],
)
def test_wrong_options_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_compose_and_lambda_and_how_they_print():
    pipeline = transforms.Compose([transforms.Lambda(lambda x: x + 1), transforms.ToTensor()])
    assert pipeline(np.zeros((2, 2))).tolist() == [[[1.0, 1.0], [1.0, 1.0]]]
    assert repr(pipeline) == "Compose(\n    Lambda()\n    ToTensor()\n)"
