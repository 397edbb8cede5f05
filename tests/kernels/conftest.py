"""Kernel tests compare tiny arrays: PyTorch's threads would only wait for each other."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.kernels.cuda_double import compile_cublas


@pytest.fixture(autouse=True)
def one_torch_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def libcublas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that stands in for cuBLAS, compiled once."""
    if shutil.which("g++") is None:
        pytest.skip("this machine has no g++ to compile cuBLAS's double")
    return compile_cublas(tmp_path_factory.mktemp("cublas"))
