"""The networks on PyTorch: the very files of `alexnet.models`, run with `torch` for `minigrad`.

They say nothing that PyTorch does not know under the same name, which this shows as well. A twin
cannot tell whether a network is the published one: `published.py` does. `narrowed` makes both sides
smaller where size would only cost time.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch

from alexnet.models import MODELS
from minigrad import nn

TORCH = {"minigrad": torch, "minigrad.nn": torch.nn}  # what an import finds


def twin(name: str, model: nn.Module, **config: Any) -> torch.nn.Module:
    """PyTorch's network `name` with copies of the parameters and buffers of `model`."""
    build = MODELS[name].build
    function, options = getattr(build, "func", build), getattr(build, "keywords", {})  # or partial
    spec = importlib.util.find_spec(function.__module__)
    listing = importlib.util.module_from_spec(spec)
    with patch.dict(sys.modules, TORCH):
        spec.loader.exec_module(listing)
    with torch.device("meta"):  # no memory, no drawing
        net = getattr(listing, function.__name__)(**options, **config)
    state = {key: torch.from_numpy(value.array.copy()) for key, value in model.state_dict().items()}
    net.load_state_dict(state, assign=True)
    return net.requires_grad_().train(model.training)


@contextmanager
def narrowed(width: Callable[[int], int]) -> Iterator[None]:
    """Networks built inside have layers of `width(n)` channels where they ask for n."""

    def narrow(layer: Any, channels: int) -> Any:
        def __init__(self: Any, *args: Any, **options: Any) -> None:
            layer.__init__(self, *map(width, args[:channels]), *args[channels:], **options)

        return type(layer.__name__, (layer,), {"__init__": __init__})

    layers = {"Conv2d": 2, "Linear": 2, "BatchNorm2d": 1}  # how many arguments are channels
    with (
        patch.multiple(nn, **{name: narrow(getattr(nn, name), n) for name, n in layers.items()}),
        patch.multiple(
            torch.nn, **{name: narrow(getattr(torch.nn, name), n) for name, n in layers.items()}
        ),
    ):
        yield


def same(n: int) -> int:
    """As published."""
    return n


def hidden(n: int) -> int:
    """Hidden linear layers of 64 instead of 4096, which hold most parameters of some networks."""
    return 64 if n == 4096 else n


def eighth(n: int) -> int:
    """An eighth of all channels but those of images and classes, for networks that are deep."""
    return n // 8 if n > 8 else n
