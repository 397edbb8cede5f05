"""Runs a listing twice, on PyTorch and, with its imports swapped, on minigrad, and compares.

Both runs draw the same random numbers, because minigrad's generator is replaced by one that asks
PyTorch's. So they must print the same and leave the same behind: every tensor, every network with
its weights, buffers and gradients, every number. torchvision is not needed: its data sets and
transforms are alexnet's here, which are tested elsewhere, with PyTorch's tensors at the end.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch.utils.data import dataloader, sampler

import minigrad as mg
from alexnet import datasets, transforms
from minigrad import backend

TORCH = {"minigrad": torch, "minigrad.nn": torch.nn}  # what an import finds
TOLERANCE = 1e-4  # of the largest number in a tensor
ROUNDING = 1e-5  # of the gradient of a layer's weight: a bias before batch norm has none but this
SOURCES = {path.stem: path for path in sorted((Path(__file__).parent / "sources").glob("*.py"))}
IMPORT = re.compile(r"^(from|import) (torchvision|torch)\b(\S*)(.*)$", re.MULTILINE)


def swapped(source: str) -> str:
    """`import torch` becomes `import minigrad as torch`, and all its other forms likewise."""

    def swap(match: re.Match[str]) -> str:
        how, package, path, rest = match.groups()
        ours = {"torch": "minigrad", "torchvision": "alexnet"}[package]
        name = f" as {package}" if how == "import" and not path and not rest else ""
        return f"{how} {ours}{path}{rest}{name}"

    return IMPORT.sub(swap, source)


class FromPyTorch:
    """What the engine asks of NumPy's generator, answered by PyTorch's."""

    def random(self, size: Any = (), dtype: Any = np.float32) -> Any:
        return torch.rand(size, dtype=_dtype(dtype)).numpy() if size else torch.rand(1).item()

    def standard_normal(self, size: Any, dtype: Any = np.float32) -> np.ndarray:
        return torch.randn(tuple(size), dtype=_dtype(dtype)).numpy()

    def uniform(self, low: float, high: float, size: Any = None) -> Any:
        return low + (high - low) * self.random(size or ())

    def integers(self, low: int, high: int | None = None, size: Any = ()) -> Any:
        low, high = (0, low) if high is None else (low, high)
        return torch.randint(low, high, tuple(size)).numpy()

    def permutation(self, n: int) -> np.ndarray:
        return torch.randperm(n).numpy()


def _dtype(dtype: Any) -> torch.dtype:
    return torch.float64 if dtype == np.float64 else torch.float32


def _dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """PyTorch's, but from uniform numbers: how it draws its own mask nobody else can repeat."""
    if not training:
        return input
    scaled = input * (torch.rand(input.shape) >= p) / (1 - p)
    return input.copy_(scaled) if inplace else scaled


def _quiet(original: Any) -> Any:
    """A loader's iterator that does not draw a seed for workers, which it does not have."""

    def __init__(self: Any, loader: Any) -> None:
        state = torch.get_rng_state()
        original(self, loader)
        torch.set_rng_state(state)

    return __init__


def _torchvision() -> dict[str, ModuleType]:
    """Modules of torchvision's names, for PyTorch's run."""

    class ToTensor(transforms.ToTensor):
        def __call__(self, image: Any) -> torch.Tensor:
            return torch.from_numpy(super().__call__(image).numpy())

    class Normalize(transforms.Normalize):
        def __call__(self, image: torch.Tensor) -> torch.Tensor:
            mean, std = (torch.tensor(v)[:, None, None] for v in (self.mean, self.std))
            return (image - mean) / std

    class FashionMNIST(datasets.FashionMNIST):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self.data, self.targets = (
                torch.from_numpy(tensor.numpy()) for tensor in (self.data, self.targets)
            )

    changed = [ToTensor, Normalize, FashionMNIST]
    modules = {"torchvision": ModuleType("torchvision")}
    for name, origin in (("transforms", transforms), ("datasets", datasets)):
        there = modules[f"torchvision.{name}"] = ModuleType(name)
        names = {name: value for name, value in vars(origin).items() if name[0] != "_"}
        names |= {cls.__name__: cls for cls in changed if cls.__name__ in names}
        vars(there).update(names)
        setattr(modules["torchvision"], name, there)
    spec = importlib.util.find_spec("alexnet.models.resnet")
    models = modules["torchvision.models"] = importlib.util.module_from_spec(spec)
    with patch.dict(sys.modules, TORCH):
        spec.loader.exec_module(models)
    return modules


def run(source: str, modules: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """What the listing leaves behind, and what it prints."""
    left: dict[str, Any] = {"__name__": "__main__"}
    torch.manual_seed(0)
    sys.modules.update(modules)
    try:
        with contextlib.redirect_stdout(io.StringIO()) as text:
            exec(compile(source, "<listing>", "exec"), left)
    finally:
        for name in modules:
            del sys.modules[name]
    return left, text.getvalue()


def run_both(source: str) -> None:
    """Raises AssertionError where the two runs differ."""
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    torch.set_num_threads(1)  # the layers are so small that threads mostly wait for each other
    images = np.random.default_rng(0).integers(0, 256, (32, 28, 28), dtype=np.uint8)
    generator = FromPyTorch()
    try:
        with (
            patch.object(backend, "generator", lambda device="cpu": generator),
            patch.object(mg, "manual_seed", torch.manual_seed),
            patch.object(torch.cuda, "is_available", lambda: False),  # one generator serves both
            patch.object(torch.accelerator, "is_available", lambda: False),
            patch.object(mg.cuda, "is_available", lambda: False),
            patch.object(mg.accelerator, "is_available", lambda: False),
            patch.object(datasets, "named_folder", lambda root, what: root),
            patch.object(datasets, "read_images_and_labels",
                         lambda folder, train: (images, np.arange(32) % 10)),
            patch.object(torch.nn.functional, "dropout", _dropout),
            patch.object(sampler.RandomSampler, "__iter__",
                         lambda self: iter(torch.randperm(len(self.data_source)).tolist())),
            patch.object(dataloader._BaseDataLoaderIter, "__init__",
                         _quiet(dataloader._BaseDataLoaderIter.__init__)),
        ):
            theirs, their_text = run(source, _torchvision())
            ours, our_text = run(swapped(source), {})
    finally:
        torch.set_rng_state(state)
        torch.set_num_threads(threads)
    assert_same_text(our_text, their_text)
    for name in theirs.keys() | ours.keys():
        if not name.startswith("__"):
            assert_same(name, ours[name], theirs[name])


def assert_same_text(ours: str, theirs: str) -> None:
    """Equal but for the last digits of numbers; a name of torch's is there without `torch.`."""
    number = re.compile(r"(-?\d+\.\d*(?:e[-+]\d+)?)")
    a, b = number.split(ours), number.split(theirs.replace("torch.", ""))
    assert [" ".join(t.split()) for t in a[::2]] == [" ".join(t.split()) for t in b[::2]]
    for x, y in zip(a[1::2], b[1::2], strict=True):
        digits = len(y.partition(".")[2].partition("e")[0])
        assert abs(float(x) - float(y)) <= 1.01 * 10**-digits + TOLERANCE * abs(float(y)), (x, y)


def assert_same(name: str, ours: Any, theirs: Any, floor: float = 0) -> None:
    """Equal, as far as it can be said of this kind of thing."""
    if isinstance(theirs, torch.Tensor):
        assert isinstance(ours, mg.Tensor), name
        assert tuple(ours.shape) == tuple(theirs.shape), name
        assert f"torch.{ours.dtype}" == str(theirs.dtype), name
        assert ours.requires_grad == theirs.requires_grad, name
        _assert_close(name, ours, theirs, floor)
        if theirs.is_leaf:
            assert_same(f"{name}.grad", ours.grad, theirs.grad, floor)
    elif isinstance(theirs, torch.nn.Module):
        assert isinstance(ours, mg.nn.Module) and type(ours).__name__ == type(theirs).__name__
        assert repr(ours) == repr(theirs), name
        assert ours.training == theirs.training, name
        mine, yours = ours.state_dict(keep_vars=True), theirs.state_dict(keep_vars=True)
        assert list(mine) == list(yours), name
        if not any(torch.nn.parameter.is_lazy(tensor) for tensor in yours.values()):
            for key, tensor in yours.items():
                weight = yours.get(f"{key.removesuffix('bias')}weight", tensor).grad
                floor = 0 if weight is None else ROUNDING * weight.abs().max().item()
                assert_same(f"{name}.{key}", mine[key], tensor, floor)
    elif isinstance(theirs, (list, tuple)):
        assert len(ours) == len(theirs), name
        for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            assert_same(f"{name}[{i}]", a, b)
    elif isinstance(theirs, dict):
        assert ours.keys() == theirs.keys(), name
        for key, value in theirs.items():
            assert_same(f"{name}[{key!r}]", ours[key], value)
    elif isinstance(theirs, float):
        assert abs(ours - theirs) <= TOLERANCE * abs(theirs), (name, ours, theirs)
    elif theirs is None or isinstance(theirs, (str, int)):
        assert ours == theirs, name


def _assert_close(name: str, ours: mg.Tensor, theirs: torch.Tensor, floor: float) -> None:
    a, b = ours.detach().numpy().astype(float), theirs.detach().numpy().astype(float)
    if b.size:
        error, largest = np.abs(a - b).max(), np.abs(b).max()
        assert error <= max(TOLERANCE * largest, floor), f"{name}: {error:.2g} beside {largest:.2g}"
