"""What tests of networks share."""

import pytest

from minigrad.nn import init


@pytest.fixture
def undrawn(monkeypatch):
    """Parameters are not drawn: they hold what was in memory, which shapes do not ask for."""
    for fill in ("constant_", "uniform_", "normal_", "trunc_normal_"):  # the others call these
        monkeypatch.setattr(init, fill, lambda tensor, *how, **more: tensor)
