"""The same network in PyTorch, made from ours, and the check that it computes the same.

A comparison is worth something only if both sides do the same work. So no twin is written by hand.
That of a layer takes its hyper-parameters and weights, class by class, from the layer that is
timed; that of a network of `alexnet.models` is made by running its very file with `torch` for
`minigrad`, which works because the file says nothing that PyTorch does not know under the same
name. And nothing is timed before both give the same numbers. Next: `bench.py`.
"""

from __future__ import annotations

import importlib.util
import sys
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

import minigrad
from alexnet.errors import InputError, RunError
from alexnet.models import MODELS
from minigrad import nn

# Layer -> what its constructor is given; our attributes have PyTorch's names.
OPTIONS: dict[type[nn.Module], str] = {
    nn.Conv2d: "in_channels out_channels kernel_size stride padding dilation groups",
    nn.Linear: "in_features out_features",
    nn.ReLU: "inplace",
    nn.MaxPool2d: "kernel_size stride padding dilation return_indices ceil_mode",
    nn.AdaptiveAvgPool2d: "output_size",
    nn.LocalResponseNorm: "size alpha beta k",
    nn.BatchNorm2d: "num_features eps momentum affine track_running_stats",
    nn.Dropout: "p inplace",
    nn.Flatten: "start_dim end_dim",
    nn.CrossEntropyLoss: "ignore_index reduction label_smoothing",
}
MINIGRAD, NCHW, CHANNELS_LAST = "minigrad", "NCHW", "channels_last"
TOLERANCE = 1e-4  # of the largest value: float32 sums of 10^4 terms differ by less


class Disagreement(RunError):
    """The two engines do not compute the same, so that timing them would say nothing."""


@dataclass(frozen=True)
class Side:
    """One engine's copy of a module and of its inputs; `engine` is `minigrad` or `torch`.

    The two share an API, so that one function drives either.
    """

    engine: ModuleType | Any
    module: Any
    inputs: tuple[Any, ...]  # (N, ...), and for a loss (N,) class indices

    def to(self, device: str) -> Side:
        """The same on another device."""
        return Side(self.engine, self.module.to(device), tuple(x.to(device) for x in self.inputs))


def import_torch() -> Any:
    """PyTorch, using as many threads as minigrad does.

    Raises:
        InputError: it is not installed; one line says how to install it.
    """
    try:
        import torch
    except ModuleNotFoundError:
        raise InputError(
            "PyTorch, which minigrad is compared with, is not installed: "
            'pip install torch, or pip install "minigrad[test]"'
        ) from None
    torch.set_num_threads(minigrad.get_num_threads())
    return torch


def torch_twin(module: nn.Module) -> Any:
    """The `torch.nn.Module` with the hyper-parameters, weights and mode of `module`.

    Raises:
        TypeError: a layer is of a class that OPTIONS does not list.
    """
    twin = _build(module)
    twin.load_state_dict(_state(module))
    return twin.train(module.training)


def network_twin(name: str, model: nn.Module, **config: Any) -> Any:
    """PyTorch's network `name`, built with `config`, with the weights and mode of `model`."""
    torch = import_torch()
    build = MODELS[name].build
    function, options = getattr(build, "func", build), getattr(build, "keywords", {})  # or partial
    spec: Any = importlib.util.find_spec(function.__module__)
    listing: Any = importlib.util.module_from_spec(spec)
    names = ("minigrad", "minigrad.nn")
    ours = {name: sys.modules[name] for name in names}
    sys.modules.update(zip(names, (torch, torch.nn), strict=True))  # what an import finds
    try:
        spec.loader.exec_module(listing)
    finally:
        sys.modules.update(ours)
    with torch.device("meta"):  # no memory, no drawing
        net = getattr(listing, function.__name__)(**options, **config)
    net.load_state_dict(_state(model), assign=True)
    return net.requires_grad_().train(model.training)


def _state(module: nn.Module) -> dict[str, Any]:
    """Copies of the parameters and buffers, as PyTorch's tensors."""
    torch = import_torch()
    return {key: torch.from_numpy(value.array.copy()) for key, value in module.state_dict().items()}


def _build(module: Any) -> Any:
    torch = import_torch()
    if isinstance(module, nn.Sequential):
        children = ((name, _build(child)) for name, child in module.named_children())
        return torch.nn.Sequential(OrderedDict(children))
    if type(module) not in OPTIONS:
        raise TypeError(
            f"[torch_twin] {type(module).__name__} is neither a Sequential nor one of "
            + ", ".join(layer.__name__ for layer in OPTIONS)
        )
    options = {name: getattr(module, name) for name in OPTIONS[type(module)].split()}
    if hasattr(module, "bias"):
        options["bias"] = module.bias is not None
    return getattr(torch.nn, type(module).__name__)(**options)


def sides(
    name: str, module: nn.Module, *arrays: np.ndarray,
    build: Callable[[nn.Module], Any] = torch_twin,
) -> dict[str, Side]:  # fmt: skip
    """Our side, and PyTorch's in both memory layouts (one, where the input is no image).

    Args:
        name: what is measured, for the error.
        arrays: the inputs of `module`, (N, ...) each.
        build: makes the twin.

    Raises:
        Disagreement: PyTorch's results differ from ours.
    """
    ours = minigrad_side(module, *arrays)
    offered = layouts(arrays[0].ndim)
    theirs = {layout: torch_side(module, layout, *arrays, build=build) for layout in offered}
    for layout, side in theirs.items():
        compare(f"{name}, {layout}", first_results(ours), first_results(side))
    return {MINIGRAD: ours, **theirs}


def layouts(ndim: int) -> list[str]:
    """The memory layouts that PyTorch offers for an input of so many dimensions."""
    return [NCHW, CHANNELS_LAST] if ndim == 4 else [NCHW]


def minigrad_side(module: nn.Module, *arrays: np.ndarray) -> Side:
    """The module itself, and its inputs as Tensors."""
    return Side(minigrad, module, tuple(map(minigrad.from_numpy, arrays)))


def torch_side(
    module: nn.Module, layout: str, *arrays: np.ndarray,
    build: Callable[[nn.Module], Any] = torch_twin,
) -> Side:  # fmt: skip
    """The twin and its inputs; weights and images lie in memory as `layout` says."""
    torch = import_torch()
    order = torch.channels_last if layout == CHANNELS_LAST else torch.contiguous_format
    inputs = tuple(
        torch.from_numpy(a).to(memory_format=order if a.ndim == 4 else torch.preserve_format)
        for a in arrays
    )
    return Side(torch, build(module).to(memory_format=order), inputs)


def first_results(side: Side) -> np.ndarray:
    """What a side computes in eval mode from the first two examples."""
    training = side.module.training
    side.module.eval()
    with side.engine.no_grad():  # cloned, for a layer that works in place
        result = side.module(*(value[:2].clone() for value in side.inputs))
    side.module.train(training)
    return np.asarray(result.float().cpu())


def compare(
    name: str, ours: np.ndarray, theirs: np.ndarray, tolerance: float = TOLERANCE
) -> None:
    """Raises Disagreement unless two arrays are equal within `tolerance` of the largest value."""
    if ours.shape != theirs.shape:
        raise Disagreement(f"{name}: the result has shape {ours.shape}, PyTorch's {theirs.shape}")
    largest = np.abs(theirs).max(initial=0.0)
    difference = np.abs(ours - theirs).max(initial=0.0)
    if not difference <= tolerance * max(largest, 1e-6):  # worded so that NaN fails
        raise Disagreement(
            f"{name}: the result differs from PyTorch's by {difference:.2g} where the largest "
            f"value is {largest:.2g}, so it is not timed"
        )
