"""What is not mathematics. So far: `utils.data`, where batches come from."""

from minigrad.utils import data

__all__ = ["data"]
