"""What is not mathematics: where batches come from, and how tensors get to a disk and back."""

from minigrad.utils import data
from minigrad.utils.serialization import load, save

__all__ = ["data", "load", "save"]
