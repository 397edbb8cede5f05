"""Optimizers and learning-rate schedules: PyTorch's `torch.optim`.

Read `optimizer.py` first, then `sgd.py`; the fast arithmetic is in `kernels/cpu/optim.py`.
"""

from minigrad.optim import lr_scheduler
from minigrad.optim.adadelta import Adadelta
from minigrad.optim.adam import Adam, AdamW
from minigrad.optim.optimizer import Optimizer
from minigrad.optim.sgd import SGD

__all__ = ["SGD", "Adadelta", "Adam", "AdamW", "Optimizer", "lr_scheduler"]
