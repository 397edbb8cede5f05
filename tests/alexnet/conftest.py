"""What tests of networks share."""

import numpy as np
import pytest

from minigrad import backend
from minigrad.nn import init
from tests.conftest import DEVICES


@pytest.fixture(autouse=True)
def auto_is_the_cpu(request, monkeypatch):
    """Also where there is a GPU: what commands write is compared to the bit. Tests of a GPU's own
    take the fixture `gpu`, which is its double, or `device`."""
    if "cuda" in DEVICES and not {"gpu", "device"} & set(request.fixturenames):
        monkeypatch.setattr(backend, "_cuda_problem", "the commands' tests are for the CPU")


@pytest.fixture
def undrawn(monkeypatch):
    """Parameters are zeros, which takes less time than to draw them; shapes do not mind."""

    def zeros(tensor, *how, **more):
        tensor.array = np.zeros(tensor.shape, tensor.dtype)  # memory that nobody has touched
        return tensor

    for fill in ("constant_", "uniform_", "normal_", "trunc_normal_"):  # the others call these
        monkeypatch.setattr(init, fill, zeros)
