"""Each op of the networks by itself, forward and backward, at the shapes it has there.

The shapes are not typed in: one forward pass through a network tells what each of its layers is
given. Layers with the same options and input are timed once and counted as often as they occur,
so that the last column says what an op costs a training step. Next: `memory.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import minigrad
from alexnet.timing import Work, in_turn
from alexnet.twin import MINIGRAD, Side, import_torch, sides
from bench.networks import SGD, Network
from bench.rows import Row
from minigrad import nn, optim

Shape = tuple[int, ...]
SECONDS = 1.0  # for one row; see `alexnet.timing.in_turn`
OPS = (
    "Conv2d", "Linear", "ReLU", "MaxPool2d", "AdaptiveAvgPool2d", "LocalResponseNorm", "Dropout",
    "BatchNorm2d", "CrossEntropyLoss", "SGD", "Adam",
)
MOVES_NOTHING = (nn.Flatten, nn.Identity, nn.Sequential)  # a view, or nothing at all


@dataclass(frozen=True)
class Case:
    """A layer of a network as it is met in a training step.

    Attributes:
        shape: of its input, (N, ...).
        needs_input_grad: False for the layer that sees the images.
        times: how often the network has it.
    """

    path: str
    layer: nn.Module
    shape: Shape
    needs_input_grad: bool = True
    times: int = 1

    @property
    def op(self) -> str:
        return type(self.layer).__name__

    def arrays(self) -> list[np.ndarray]:
        """The inputs: noise, and for a loss the classes."""
        rng = np.random.default_rng(0)
        x = rng.standard_normal(self.shape, dtype=np.float32)
        if isinstance(self.layer, nn.CrossEntropyLoss):
            return [x, rng.integers(0, self.shape[1], self.shape[0])]
        return [x]


def cases(network: Network, model: nn.Module) -> list[Case]:
    """The layers of a network, its loss, and a batch norm as it would follow the first layer."""
    traced = _trace(model, network)
    found: dict[Any, Case] = {}
    times: Counter[Any] = Counter()
    for path, layer, shape, _ in traced:
        if isinstance(layer, MOVES_NOTHING):
            continue
        if getattr(layer, "inplace", False):
            layer.inplace = False  # by itself it would overwrite its input again and again
        case = Case(path, layer, shape, needs_input_grad=bool(found))
        key = (repr(layer), shape, case.needs_input_grad)
        found.setdefault(key, case)
        times[key] += 1
    first, logits = traced[0][3], traced[-1][3]
    return [
        *(replace(case, times=times[key]) for key, case in found.items()),
        Case("loss", nn.CrossEntropyLoss(), logits),
        Case("none", nn.BatchNorm2d(first[1]), first, times=0),
    ]


def _trace(model: nn.Module, network: Network) -> list[tuple[str, Any, Shape, Shape]]:
    """Path, layer, input and output shape of every leaf of the tree, in the order of the calls."""
    traced: list[tuple[str, Any, Shape, Shape]] = []

    def note(path: str, layer: nn.Module, x: minigrad.Tensor, y: minigrad.Tensor) -> None:
        traced.append((path, layer, (network.batch, *x.shape[1:]), (network.batch, *y.shape[1:])))

    leaves = [(path, layer) for path, layer in model.named_modules() if not any(layer.children())]
    hooks = [
        layer.register_forward_hook(lambda layer, args, y, path=path: note(path, layer, args[0], y))
        for path, layer in leaves
    ]
    model.eval()
    with minigrad.no_grad():
        model(minigrad.from_numpy(network.images(1)))
    model.train()
    for hook in hooks:
        hook.remove()
    return traced


def layer_work(side: Side, needs_input_grad: bool) -> Work:
    """Forward, and backward with gradients of the parameters and the input, for one engine."""
    module, (x, *rest) = side.module, side.inputs
    x.requires_grad_(needs_input_grad)
    y = module(x, *rest)
    g = side.engine.ones_like(y)  # in the layout of y

    def prepare() -> None:
        x.grad = None
        module.zero_grad()

    return Work(
        {"forward": lambda _: module(x, *rest), "backward": lambda y: y.backward(g)}, prepare
    )


def optimizer_works(network: Network, model: nn.Module, name: str) -> dict[str, Work]:
    """A step on a network's parameters: ours, PyTorch's default and its fused one."""
    options = SGD if name == "SGD" else {"lr": SGD["lr"]}
    works = {MINIGRAD: _step(getattr(optim, name), model, **options)}
    theirs = getattr(import_torch().optim, name)
    for variant, fused in (("default", False), ("fused", True)):
        works[variant] = _step(theirs, network.twin(model), **options, fused=fused)
    return works


def measure_case(network: str, case: Case, rounds: int | None) -> Row:
    """One layer, forward and backward; `network` is where it comes from.

    Raises:
        Disagreement: its result differs from PyTorch's.
    """
    name = f"{case.path} {case.op}"
    engines = sides(f"{network} {name}", case.layer, *case.arrays())
    works = {v: layer_work(side, case.needs_input_grad) for v, side in engines.items()}
    samples = in_turn(works, SECONDS, rounds)
    return Row("op", network, name, case.shape, samples, repr(case.layer), case.times)


def _step(optimizer: Callable[..., Any], module: Any, **options: Any) -> Work:
    parameters = list(module.parameters())
    for p in parameters:
        p.grad = p.detach().clone()
    step = optimizer(parameters, **options).step
    return Work({"step": lambda _: step()})


def measure(network: Network, wanted: Collection[str], rounds: int | None) -> Iterator[Row]:
    """The rows of one network's ops, of the classes that are `wanted`.

    Raises:
        Disagreement: a layer's result differs from PyTorch's.
    """
    model = network.build()
    for case in cases(network, model):
        if case.op in wanted:
            yield measure_case(network.name, case, rounds)
    for name in ("SGD", "Adam"):
        if name in wanted:
            samples = in_turn(optimizer_works(network, model, name), SECONDS, rounds)
            shape = (sum(p.numel() for p in model.parameters()),)
            yield Row("op", network.name, name, shape, samples, times=int(name == "SGD"))
