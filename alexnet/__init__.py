"""alexnet: networks, data and training on the minigrad engine, under torchvision's names.

    >>> import alexnet
    >>> net = alexnet.models.alexnet(num_classes=10)
    >>> sum(p.numel() for p in net.parameters())
    57044810

The command is `alexnet` (or `python -m alexnet`). Reading order: models/alexnet.py, datasets.py,
train.py; `__main__.py` lists the flags.
"""

import sys

from alexnet import datasets, interchange, models, transforms
from minigrad.missing import explain_missing_names

__all__ = ["datasets", "interchange", "models", "transforms"]

explain_missing_names(sys.modules[__name__], datasets, models, transforms)
