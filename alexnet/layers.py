"""What happens inside a network, layer by layer, seen through forward hooks.

`trace` runs a network once and writes down each layer's output: the table before training, the
check that images fit, and `summary.py` are made of that. `first_not_finite` finds where numbers
went wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

import minigrad
from alexnet.errors import InputError
from minigrad import Tensor, nn
from minigrad.backend import array_module


@dataclass(frozen=True)
class Layer:
    """One layer in one forward pass. Shapes include the batch."""

    path: str
    module: nn.Module
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    output_bytes: (
        int  # new memory: 0 where the output is written over the input, or is a view of it
    )

    @property
    def kind(self) -> str:
        return type(self.module).__name__

    @property
    def parameters(self) -> int:
        return sum(p.numel() for p in self.module.parameters())

    @property
    def macs(self) -> int:
        """Multiplications, each with an addition, of convolutions and linear layers; others have
        none.

        Conv2d: N O OH OW outputs of C/groups KH KW products each; Linear: N O outputs of C
        products; ConvTranspose2d: N C H W inputs, each in O/groups KH KW products.
        """
        if isinstance(self.module, (nn.Conv1d, nn.Conv2d, nn.Linear)):
            return prod(self.output_shape) * prod(self.module.weight.shape[1:])
        if isinstance(self.module, (nn.ConvTranspose1d, nn.ConvTranspose2d)):
            return prod(self.input_shape) * prod(self.module.weight.shape[1:])
        return 0


@contextmanager
def watch(
    model: nn.Module,
    before: Callable[[str, nn.Module, Tensor], None] | None = None,
    after: Callable[[str, nn.Module, Tensor, Tensor], None] | None = None,
) -> Iterator[None]:
    """Inside the block, call `before(path, layer, input)` and `after(path, layer, input, output)`
    around each
    layer (a module without children) that runs."""

    def call(function: Callable[..., None], path: str) -> Callable[..., None]:
        return lambda layer, args, *output: function(path, layer, args[0], *output)

    handles = []
    for path, layer in model.named_modules():
        if next(layer.children(), None) is None:
            if before is not None:
                handles.append(layer.register_forward_pre_hook(call(before, path)))
            if after is not None:
                handles.append(layer.register_forward_hook(call(after, path)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def trace(model: nn.Module, images: Tensor, before: Any = None) -> list[Layer]:
    """The layers in the order in which they run on `images` (N, C, H, W), the model in the mode it
    is in.

    `before(path, layer, input)` is called ahead of each.

    Raises:
        ValueError, RuntimeError: the images do not fit; the engine's message, and a note naming the
        layer.
    """
    layers: list[Layer] = []

    def after(path: str, layer: nn.Module, x: Tensor, y: Tensor) -> None:
        shared = array_module(y.array).may_share_memory(x.array, y.array)
        layers.append(
            Layer(path, layer, tuple(x.shape), tuple(y.shape), 0 if shared else y.array.nbytes)
        )

    with minigrad.no_grad(), watch(model, before, after):
        model(images)
    return layers


def trace_or_explain(model: nn.Module, name: str, image_shape: tuple[int, int, int]) -> list[Layer]:
    """`trace` on one empty image (C, H, W).

    Raises:
        InputError: the network `name` cannot take such images: the layer, its arithmetic, and the
        fix.
    """
    from alexnet.models import MODELS

    _, h, w = image_shape
    model.eval()
    try:
        return trace(model, minigrad.zeros(1, *image_shape))
    except (ValueError, RuntimeError) as error:
        where = ", ".join(getattr(error, "__notes__", ())).removeprefix("in ")
        what = "the size reaches 0" if "larger than the padded input" in str(error) else "it stops"
        side = MODELS[name].input_shape[1]
        raise InputError(
            f"images of {h} x {w} do not get through {name}: {what} in layer {where}: {error}. "
            f"Enlarge the images: alexnet train --model {name} --resize {side}; or take "
            "--model alexnet_small, which is made for 28 x 28"
        ) from error


def table(layers: list[Layer]) -> list[str]:
    """Lines of a table: layer, kind, output shape without the batch, parameters; and the total."""
    rows = [
        (
            layer.path,
            layer.kind,
            " x ".join(map(str, layer.output_shape[1:])),
            f"{layer.parameters:,}",
        )
        for layer in layers
    ]
    total = f"{sum(layer.parameters for layer in layers):,}"
    return align([("layer", "", "output", "parameters"), *rows, ("total", "", "", total)], "<<>>")


def align(rows: list[tuple[str, ...]], sides: str) -> list[str]:
    """Rows as lines of equal columns; `sides` holds a "<" or ">" a column."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            f"{cell:{side}{width}}" for cell, side, width in zip(row, sides, widths, strict=True)
        ).rstrip()
        for row in rows
    ]


def first_not_finite(model: nn.Module, images: Tensor) -> str:
    """Where NaN or infinity first appears when `images` pass: "conv2 (Conv2d): its weight holds
    NaN".

    A layer's parameters are looked at before its output, for what is wrong in them is the cause of
    it. Empty where everything is finite: then it was the loss.
    """
    found: list[str] = []

    def after(path: str, layer: nn.Module, x: Tensor, y: Tensor) -> None:
        if found:
            return
        for what, tensor in (*layer.named_parameters(), ("output", y)):
            wrong = _not_finite(tensor)
            if wrong:
                found.append(f"{path} ({type(layer).__name__}): its {what} holds {wrong}")
                return

    with minigrad.no_grad(), np.errstate(all="ignore"), watch(model, after=after):
        model(images)
    return found[0] if found else ""


def _not_finite(tensor: Tensor) -> str:
    """What is in `tensor` that is no number: "NaN", "infinity", or nothing."""
    xp = array_module(tensor.array)
    if bool(xp.isnan(tensor.array).any()):
        return "NaN"
    return "infinity" if bool(xp.isinf(tensor.array).any()) else ""
