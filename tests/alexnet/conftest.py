"""What tests of networks share."""

import numpy as np
import pytest

from minigrad.nn import init


@pytest.fixture
def undrawn(monkeypatch):
    """Parameters are zeros, which takes less time than to draw them; shapes do not mind."""

    def zeros(tensor, *how, **more):
        tensor.array = np.zeros(tensor.shape, tensor.dtype)  # memory that nobody has touched
        return tensor

    for fill in ("constant_", "uniform_", "normal_", "trunc_normal_"):  # the others call these
        monkeypatch.setattr(init, fill, zeros)
