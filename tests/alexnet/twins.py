"""Networks with fewer channels than published, ours and PyTorch's, where size would only cost time.

Their twins are made by `alexnet/twin.py`. A twin cannot tell whether a network is the published
one: `published.py` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch

from minigrad import nn


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
