"""Data sets and the loader that makes batches of them: PyTorch's `torch.utils.data`.

Reading order: `dataset.py`, `sampler.py`, `collate.py`, `dataloader.py`.
"""

from minigrad.utils.data.collate import default_collate
from minigrad.utils.data.dataloader import DataLoader
from minigrad.utils.data.dataset import (
    ConcatDataset, Dataset, Subset, TensorDataset, random_split,
)
from minigrad.utils.data.sampler import RandomSampler, SequentialSampler, SubsetRandomSampler

__all__ = [
    "ConcatDataset", "DataLoader", "Dataset", "RandomSampler", "SequentialSampler", "Subset",
    "SubsetRandomSampler", "TensorDataset", "default_collate", "random_split",
]
