"""`alexnet summary MODEL`: what each layer costs in parameters, multiplications, memory and time.

Each layer is timed alone, on the input that it gets inside the network: forward, and backward from
a gradient of its output to the gradients of its parameters and of its input. The first layer's
input is the image, whose gradient nobody needs, so it is not computed. A training step also has a
loss and an update of the weights. Convolutions are followed by the algorithm that computes them.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import minigrad
from alexnet import models
from alexnet.console import say
from alexnet.environment import blas, choose_device
from alexnet.layers import Layer, align, trace
from minigrad import Function, Tensor, kernels, nn
from minigrad.backend import Device
from minigrad.kernels.geometry import resolve_padding

REPEATS = 5  # timings of a layer, after one that warms up
Times = dict[str, tuple[float, float]]  # path -> forward, backward in milliseconds


def command(args: argparse.Namespace) -> int:
    """Print the table of a network at its published image size."""
    published = models.MODELS[args.model]
    device, device_line = choose_device(args.device or "auto")
    minigrad.manual_seed(0)
    model = models.get_model(args.model).to(device)
    shape = (args.batch_size, *published.input_shape)
    images = minigrad.randn(*shape, device=device)
    lines = table(trace(model, images), {}) if args.no_time else timed_table(model, images, device)
    what, how = heading(args.model, args.batch_size, device_line)
    say(what, *([] if args.no_time else [how]), "", *lines)
    return 0


def heading(name: str, batch_size: int, device_line: str) -> tuple[str, str]:
    """What is measured, and on what."""
    published = models.MODELS[name]
    size = " x ".join(map(str, published.input_shape))
    return (
        f"{name}: {published.about}; {batch_size} images of {size}",
        f"device {device_line}; threads {minigrad.get_num_threads()}; BLAS {blas()}",
    )


def timed_table(model: nn.Module, images: Tensor, device: Device) -> list[str]:
    """The table of a network, each layer timed on what it gets of `images` (N, C, H, W)."""
    times: Times = {}
    return table(trace(model, images, timer(times, device)), times)


def timer(times: Times, device: Device) -> Any:
    """A function to be called before each layer: it times the layer and puts the medians into
    `times`."""

    def before(path: str, layer: nn.Module, x: Tensor) -> None:
        with minigrad.enable_grad():
            runs = [
                time_layer(layer, x, first=not times, device=device) for _ in range(REPEATS + 1)
            ]
        forward, backward = zip(*runs[1:], strict=True)
        times[path] = statistics.median(forward), statistics.median(backward)

    return before


class Source(Function):
    """A copy of x that asks for a gradient and throws it away: what comes before a layer, at no
    cost."""

    def forward(self, x: Any, anchor: Any) -> Any:
        self.shape = anchor
        return x.copy()

    def backward(self, g: Any) -> Any:
        return None, self.shape


def time_layer(layer: nn.Module, x: Tensor, first: bool, device: Device) -> tuple[float, float]:
    """Milliseconds forward and backward, once. `first`: the gradient of x is not needed."""
    anchor = minigrad.zeros((), device=device, requires_grad=not first)
    source = Source.apply(x, anchor)  # its own copy: a layer may write over its input
    wait(device)
    began = time.perf_counter()
    y = layer.forward(source)
    wait(device)
    forward = time.perf_counter() - began
    if not y.requires_grad:
        return 1000 * forward, 0.0
    g = minigrad.ones_like(y)
    wait(device)
    began = time.perf_counter()
    y.backward(g)
    wait(device)
    backward = time.perf_counter() - began
    layer.zero_grad()
    return 1000 * forward, 1000 * backward


def wait(device: Device) -> None:
    """Let a GPU finish; the CPU has."""
    if device.type == "cuda":
        minigrad.cuda.synchronize(device)


def algorithm(layer: Layer) -> str:
    """How the device computes a convolution; where gx takes another way, "forward, gx". With a
    stride it never does.

    A transposed convolution is that of the other direction: gx is the convolution, y its gradient.
    """
    conv = layer.module
    kinds = (nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d, nn.ConvTranspose2d)
    if not isinstance(conv, kinds):
        return ""

    def wide(sizes: tuple[int, ...], height: int) -> Any:
        """Sizes of images as they are, those of sequences with a height."""
        return (*sizes[:-1], height, sizes[-1]) if conv.dims == 1 else sizes

    stride, dilation = wide(conv.stride, 1), wide(conv.dilation, 1)
    padding = conv.padding if isinstance(conv.padding, str) else wide(conv.padding, 0)
    pad = resolve_padding(padding, wide(conv.kernel_size, 1), stride, dilation)
    options = (wide(tuple(conv.weight.shape), 1), stride, pad, dilation, conv.groups)
    shapes = [wide(layer.output_shape, 1), wide(layer.input_shape, 1)]
    if stride != (1, 1):
        shapes.pop(0 if isinstance(conv, kinds[2:]) else 1)
    weight = conv.weight.array
    names = [kernels.of(weight).conv.choose(weight.dtype, shape, *options) for shape in shapes]
    return ", ".join(dict.fromkeys(names))


def table(layers: list[Layer], times: Times) -> list[str]:
    """A line a layer, and their sums. MACs and bytes are those of the whole batch."""
    header: tuple[str, ...] = (
        "layer",
        "",
        "algorithm",
        "output",
        "parameters",
        "million MACs",
        "activation KiB",
    )
    rows = [
        (
            layer.path,
            layer.kind,
            algorithm(layer),
            " x ".join(map(str, layer.output_shape)),
            f"{layer.parameters:,}",
            f"{layer.macs / 1e6:,.2f}",
            f"{layer.output_bytes / 1024:,.1f}",
        )
        for layer in layers
    ]
    total: tuple[str, ...] = (
        "total",
        "",
        "",
        "",
        f"{sum(layer.parameters for layer in layers):,}",
        f"{sum(layer.macs for layer in layers) / 1e6:,.2f}",
        f"{sum(layer.output_bytes for layer in layers) / 1024:,.1f}",
    )
    if times:
        header += ("forward ms", "backward ms")
        rows = [(*row, *_cells(times[layer.path])) for row, layer in zip(rows, layers, strict=True)]  # type: ignore[misc]
        total += _cells((sum(t[0] for t in times.values()), sum(t[1] for t in times.values())))
    return align([header, *rows, total], "<<<" + ">" * (len(header) - 3))


def _cells(pair: tuple[float, float]) -> tuple[str, ...]:
    return tuple(f"{milliseconds:.2f}" for milliseconds in pair)
