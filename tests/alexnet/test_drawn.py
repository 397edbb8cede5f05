"""The stand-in data set: seeded, balanced, varied, and no prey for a linear model."""

import numpy as np
import pytest

from alexnet import drawn
from alexnet.datasets import CLASSES


@pytest.fixture(scope="module")
def train():
    return drawn.draw(6000)


@pytest.fixture(scope="module")
def test():
    return drawn.draw(2000, train=False)


def test_shapes_types_and_classes(train):
    images, labels = train
    assert images.shape == (6000, 28, 28) and images.dtype == np.uint8
    assert labels.shape == (6000,) and labels.dtype == np.int64
    assert len(drawn.GARMENTS) == len(CLASSES) == 10
    assert drawn.GARMENTS[CLASSES.index("Ankle boot")] is drawn.ankle_boot


def test_the_same_seed_draws_the_same_bytes(train):
    images, labels = drawn.draw(1000)
    assert images.tobytes() == train[0][:1000].tobytes()
    assert labels.tobytes() == train[1][:1000].tobytes()


def test_an_image_does_not_depend_on_how_many_are_drawn(train):
    images, labels = drawn.draw(1234)
    assert images.tobytes() == train[0][:1234].tobytes()
    assert labels.tobytes() == train[1][:1234].tobytes()


def test_another_seed_and_the_other_half_draw_other_images(train, test):
    assert (drawn.draw(10, seed=1)[0] != train[0][:10]).any()
    seen = {image.tobytes() for image in train[0]}
    assert not any(image.tobytes() in seen for image in test[0])


@pytest.mark.parametrize("n", [10, 230, 4000])
def test_every_prefix_of_tens_is_balanced(train, n):
    assert np.bincount(train[1][:n]).tolist() == [n // 10] * 10


def test_at_least_one(train):
    images, labels = drawn.draw(1)
    assert images.shape == (1, 28, 28) and labels.shape == (1,)
    with pytest.raises(ValueError, match=r"\[draw\] count must be at least 1, got 0"):
        drawn.draw(0)


def test_images_are_varied(train):
    images, labels = train
    assert len({image.tobytes() for image in images}) == len(images)
    for label, name in enumerate(CLASSES):
        pixels = images[labels == label].reshape(-1, 784).astype(np.float32) / 255
        spread = pixels.std(axis=0)  # between images, a pixel
        assert spread.max() > 0.2, name
        assert (spread > 0.05).mean() > 0.4, name
        brightness = pixels.mean(axis=1)
        assert brightness.std() > 0.15 * brightness.mean(), name


def test_a_garment_is_seen_in_every_image(train):
    bright = (train[0] > 40).mean(axis=(1, 2))
    assert (bright > 0.02).mean() > 0.98
    assert bright.max() < 0.9


def test_mean_and_std_are_those_of_the_images(train):
    assert abs(train[0].mean() / 255 - drawn.MEAN) < 0.005
    assert abs(train[0].std() / 255 - drawn.STD) < 0.005


def linear_accuracy(train, test, epochs=20, rate=0.002, decay=1e-4):
    """Multinomial logistic regression by Adam: accuracy on the images it learnt, and on others."""
    (images, labels), (test_images, test_labels) = train, test
    x = images.reshape(-1, 784).astype(np.float32) / 255
    mean, std = x.mean(axis=0), x.std(axis=0) + 0.05
    x, unseen = (x - mean) / std, (test_images.reshape(-1, 784) / np.float32(255) - mean) / std
    rng = np.random.default_rng(0)
    w, b = np.zeros((784, 10), np.float32), np.zeros(10, np.float32)
    moments = [(np.zeros_like(p), np.zeros_like(p)) for p in (w, b)]
    step, steps = 0, epochs * len(x) // 100
    for _ in range(epochs):
        for batch in rng.permutation(len(x)).reshape(-1, 100):
            step += 1
            scores = x[batch] @ w + b
            g = np.exp(scores - scores.max(axis=1, keepdims=True))
            g /= g.sum(axis=1, keepdims=True)
            g[np.arange(100), labels[batch]] -= 1
            gradients = (x[batch].T @ g / 100 + decay * w, g.mean(axis=0))
            for p, gp, (m, v) in zip((w, b), gradients, moments, strict=True):
                m += 0.1 * (gp - m)
                v += 0.001 * (gp * gp - v)
                scale = rate * (1 - step / steps) * (1 - 0.999**step) ** 0.5 / (1 - 0.9**step)
                p -= scale * m / (np.sqrt(v) + 1e-8)
    seen = (x @ w + b).argmax(axis=1) == labels
    return seen.mean(), ((unseen @ w + b).argmax(axis=1) == test_labels).mean()


def test_a_linear_model_learns_something_and_not_enough(train, test):
    learnt, accuracy = linear_accuracy(train, test)
    assert learnt > 0.7  # it was trained well enough to mean something
    assert 0.5 < accuracy < 0.8
