"""Whole networks on a GPU, or on the double of one: steps equal the CPU's, and the double is never
waited for.

In float64, where what differs is the order of sums alone: a wrong index would be seen, rounding
would not. That float32 stays float32 on the way is looked at for one network. What a GPU's own
rounding does to a training run, only a GPU can show.
"""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest

import minigrad as mg
from alexnet import models
from alexnet.train import scores_and_loss
from minigrad import nn, optim
from tests.alexnet.test_models import image_shape
from tests.alexnet.twins import eighth, narrowed
from tests.conftest import no_waiting, on_cuda

# The lighter ones: convolutions of every size, groups, LRN, batch normalisation, branches, skips.
# The double takes too long for the others, which are more of the same; a GPU has them all.
NAMES = (
    "lenet5", "alexnet_small", "alexnet_2012", "alexnet", "alexnet_d2l", "alexnet_tf", "vgg11",
    "nin", "googlenet_d2l", "resnet20",
) if not mg.cuda.is_available() else tuple(models.MODELS)  # fmt: skip
# Two images leave the last layers two numbers to normalise, which magnifies the last digit.
DEEP = ("resnet34", "resnet50", "resnet101", "resnet152")


def after_steps(name, device, dtype):
    """The state dict as arrays, before and after; of a DEEP network, after one step, on more
    and larger images."""
    mg.manual_seed(1)
    with narrowed(eighth):
        model = models.get_model(name, num_classes=4).to(device, dtype)
    for layer in model.modules():
        layer.training = not isinstance(layer, nn.Dropout)  # each device draws numbers of its own
    before = {key: value.cpu().numpy().copy() for key, value in model.state_dict().items()}
    steps = optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-3)
    rng = np.random.default_rng(0)
    shape, count = ((4, 3, 64, 64), 1) if name in DEEP else ((2, *image_shape(name)), 2)
    x = mg.tensor(rng.standard_normal(shape), dtype=dtype, device=device)
    y = mg.tensor(np.arange(len(x)), device=device)
    with nullcontext() if device == "cpu" else no_waiting():
        for _ in range(count):
            steps.zero_grad()
            _, loss = scores_and_loss(model(x), y)
            loss.backward()
            mg.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            steps.step()
    assert all(p.grad.dtype == p.dtype == dtype for p in model.parameters())
    assert all(p.grad.device == p.device == x.device for p in model.parameters())
    return before, {key: value.cpu().numpy() for key, value in model.state_dict().items()}


@on_cuda
@pytest.mark.parametrize("name", NAMES)
def test_training_steps_equal_the_cpus(device, name):
    before, found = after_steps(name, device, mg.float64)
    also_before, expected = after_steps(name, "cpu", mg.float64)
    for key, right in expected.items():
        np.testing.assert_array_equal(before[key], also_before[key])
        np.testing.assert_allclose(found[key], right, rtol=1e-9, atol=1e-11, err_msg=key)
    still = [key for key, right in expected.items() if np.array_equal(before[key], right)]
    assert not still, f"{still} did not learn"


@on_cuda
def test_float32_stays_float32(device):
    _, found = after_steps("alexnet_small", device, mg.float32)
    _, expected = after_steps("alexnet_small", "cpu", mg.float32)
    for key, right in expected.items():
        assert found[key].dtype == right.dtype == np.float32
        np.testing.assert_allclose(found[key], right, rtol=1e-4, atol=1e-5, err_msg=key)
