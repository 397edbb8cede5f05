"""Published recipes by name: `alexnet train --preset paper`.

A preset is nothing but settings (`config.py`), which flags on the command line may change. Images
get the size that the network was published with, whichever it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from alexnet.models import MODELS


@dataclass(frozen=True)
class Preset:
    """A recipe: where it is from, and what it sets. `crops`: out of images 256/224 as large."""

    source: str
    settings: Mapping[str, Any]
    crops: bool = False

    def values(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """All settings, for the network and the size of images that were `given`."""
        model = given.get("model", self.settings["model"])
        side = given.get("resize", MODELS[model].input_shape[1])
        crops = {"crop_from": round(side * 256 / 224)} if self.crops else {}
        return {"limit_train": None, "batch_size": 128, **self.settings, "resize": side, **crops}


PAPER = Preset(
    "Krizhevsky, Sutskever, Hinton (2012), sections 4 and 5",
    {
        "model": "alexnet_2012",
        "epochs": 90,
        "optimizer": "sgd2012",
        "lr": 0.01,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "schedule": "test-plateau",
        "init": "paper",
        "normalize": "mean-image",
        "augment": True,
        "lighting": 0.1,
        "ten_crop": True,
    },
    crops=True,
)
SGD224 = Preset(
    "Dive into Deep Learning, section 8.1: plain SGD, pixels in 0..1",
    {
        "model": "alexnet_d2l",
        "epochs": 10,
        "optimizer": "sgd",
        "lr": 0.01,
        "momentum": 0.0,
        "weight_decay": 0.0,
        "schedule": "constant",
        "normalize": "unit",
    },
)
ADAM224 = Preset(
    "Dive into Deep Learning, its first edition in PyTorch: Adam, pixels in 0..1",
    {
        "model": "alexnet_d2l_pad0",
        "epochs": 5,
        "optimizer": "adam",
        "lr": 0.001,
        "momentum": 0.9,
        "weight_decay": 0.0,
        "schedule": "constant",
        "normalize": "unit",
    },
)
PRESETS = {"paper": PAPER, "sgd224": SGD224, "adam224": ADAM224}
