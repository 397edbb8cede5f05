"""A data set on the GPU: the batches made there are those made on the CPU, to the bit."""

from __future__ import annotations

import numpy as np
import pytest

from alexnet import datasets, drawn, resident
from alexnet.batches import Preparation, TrainingBatches
from alexnet.resident import Resident, choices_of_epoch
from minigrad.backend import CPU, Device

GPU = Device("cuda")
MEAN_IMAGE = np.round(np.linspace(0, 0.5, 28 * 28).reshape(28, 28), 6)
PREPARED = {
    "as they are": (Preparation(0.286, 0.353), False, 0.0),
    "mirrored": (Preparation(0.286, 0.353), True, 0.0),
    "enlarged": (Preparation(0.0, 1.0, 61), True, 0.0),
    "made smaller": (Preparation(0.286, 0.353, 11), False, 0.0),
    "crops, lit": (Preparation(0.286, 0.353, 32, 37), True, 0.1),
    "crops less a mean image": (Preparation(MEAN_IMAGE, 1 / 255, 33, 40, True), True, 0.1),
    "crops of the size they have": (Preparation(0.5, 0.25, None, 28), False, 0.0),
}
prepared = pytest.mark.parametrize(
    ("prepare", "augment", "lighting"), PREPARED.values(), ids=PREPARED.keys()
)


@pytest.fixture(scope="module")
def splits() -> datasets.Splits:
    images, labels = drawn.draw(9, train=True)
    return datasets.Splits(
        name="drawn", train_images=images, train_labels=labels, train_indices=np.arange(9),
        test_images=images, test_labels=labels, classes=datasets.CLASSES, mean=drawn.MEAN,
        std=drawn.STD, source="a few drawn images", stand_in=True,
    )  # fmt: skip


@prepared
def test_batches_are_the_cpus(gpu, splits, prepare, augment, lighting):
    """All of an epoch, the short last batch, too, from its beginning and from its second step."""
    batches = TrainingBatches(splits, prepare, 4, augment, seed=3, lighting=lighting)
    images = Resident(splits.train_images, splits.train_labels, prepare, GPU)
    for epoch, start in ((1, 0), (2, 0), (2, 1)):
        images.begin(*choices_of_epoch(batches, epoch), start=start * 4)
        expected = list(batches.of_epoch(epoch, start))
        assert len(expected) == 3 - start
        for x, y in expected:
            with gpu.no_waiting():
                mine, labels = images.next(len(y))
            assert mine.is_cuda
            np.testing.assert_array_equal(mine.cpu().numpy(), x.numpy())
            np.testing.assert_array_equal(labels.cpu().numpy(), y.numpy())


@prepared
def test_a_test_shows_what_it_shows_on_the_cpu(gpu, splits, prepare, augment, lighting):
    for ten_crop in sorted({False, prepare.ten_crop}):
        there, here = (
            list(resident.views(splits.test_images, prepare, device, 4, ten_crop))
            for device in (GPU, CPU)
        )
        assert [len(views) for views in there] == [10 if ten_crop else 1] * 3
        for mine, right in zip(there, here, strict=True):
            for x, y in zip(mine, right, strict=True):
                np.testing.assert_array_equal(x.cpu().numpy(), y.numpy())


def test_one_kernel_serves_all_types(gpu, splits):
    prepare = Preparation(0.286, 0.353, 30)
    images = Resident(splits.train_images, splits.train_labels, prepare, GPU)
    choices = np.zeros((5, 4), np.int32)
    choices[:, 0] = np.arange(5)
    right = prepare(splits.train_images[:5]).numpy()
    for dtype in ("float16", "float64"):
        images.begin(choices)
        images.dtype = np.dtype(dtype)
        x, _ = images.batch(5)
        assert x.dtype == dtype
        np.testing.assert_array_equal(x.cpu().numpy(), right.astype(dtype))


def test_what_a_graph_reads_stays_where_it_is(gpu, splits):
    """Another epoch is written into the same arrays; what does not fit there is refused."""
    batches = TrainingBatches(splits, Preparation(0.286, 0.353, 32, 37), 4, True, 3, lighting=0.1)
    images = Resident(splits.train_images, splits.train_labels, batches.prepare, GPU)
    choices, light = choices_of_epoch(batches, 1)
    images.begin(choices, light)
    arrays = images.choices.array, images.light.array, images.position.array
    images.begin(*choices_of_epoch(batches, 2), start=4)
    now = images.choices.array, images.light.array, images.position.array
    assert all(a is b for a, b in zip(arrays, now, strict=True))
    np.testing.assert_array_equal(images.choices.cpu().numpy(), choices_of_epoch(batches, 2)[0])
    for other in ((choices[:4], light[:4]), (choices, None)):
        with pytest.raises(ValueError, match=r"as many as at first, \(9, .*another Resident"):
            images.begin(*other)


def test_what_cannot_lie_on_a_gpu(splits):
    images, plain = splits.train_images, Preparation(0.5, 0.5)
    assert resident.can_stay(images, plain)
    assert resident.can_stay(images[:, :20], Preparation(0.5, 0.5, 32))
    for other in (images[:, :20], images.astype(np.float32), list(images), images[..., None]):
        assert not resident.can_stay(other, plain)
