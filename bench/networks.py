"""The training step and the inference of whole networks, ours and PyTorch's.

One function drives both engines, which share an API: what is timed is literally the same code.
Next: `ops.py`, which takes the same networks apart, and `memory.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import minigrad
from alexnet import models
from alexnet.twin import MINIGRAD, Side, compare, sides
from bench.rows import Row
from bench.timing import Work, in_turn
from minigrad import nn, optim

# The paper's momentum and weight decay; a rate so small that many steps on noise stay finite.
SGD: dict[str, Any] = {"lr": 1e-4, "momentum": 0.9, "weight_decay": 5e-4}
DEFAULT, FUSED = "SGD", "fused SGD"  # PyTorch has SGD(fused=True), which is not its default
TRAINING_SECONDS, INFERENCE_SECONDS = 15.0, 5.0  # for one row; see `timing.in_turn`
INFERENCE_BATCHES = (1, 128)


@dataclass(frozen=True)
class Network:
    """A network of `alexnet.models` and the batch that it is trained with."""

    model: str
    batch: int

    def build(self) -> nn.Module:
        """The network in training mode, with the same weights every time."""
        minigrad.manual_seed(0)
        return models.get_model(self.model)

    def images(self, n: int) -> np.ndarray:
        """(n, C, H, W) of noise."""
        shape = (n, *models.MODELS[self.model].input_shape)
        return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)

    def labels(self, n: int) -> np.ndarray:
        """(n,) of class indices."""
        return np.random.default_rng(1).integers(0, models.MODELS[self.model].num_classes, n)


NETWORKS = {
    network.model: network
    for network in (
        Network("alexnet_d2l", batch=32),
        Network("alexnet_2012", batch=32),
        Network("alexnet_small", batch=128),
    )
}


def training_step(side: Side, labels: np.ndarray, after: dict[str, Any]) -> Work:
    """zero_grad, forward, cross-entropy, backward, and a step of each optimizer, for one engine."""
    module, (x,) = side.module, side.inputs
    target = side.engine.from_numpy(labels)
    cross_entropy = side.engine.nn.functional.cross_entropy

    def forward(_: None) -> Any:
        module.zero_grad()
        return cross_entropy(module(x), target)

    return Work(
        {
            "forward": forward,
            "backward": lambda loss: loss.backward(),
            **{name: _step(optimizer) for name, optimizer in after.items()},
        }
    )


def _step(optimizer: Any) -> Callable[[Any], Any]:
    return lambda _: optimizer.step()


def inference(side: Side) -> Work:
    """The forward pass in eval mode, without a graph, for one engine."""
    module, (x,) = side.module.eval(), side.inputs

    def forward(_: None) -> Any:
        with side.engine.no_grad():
            return module(x)

    return Work({"forward": forward})


def measure(network: Network, rounds: int | None) -> Iterator[Row]:
    """The rows of one network: its training step, the same beside fused SGD, and inference.

    Raises:
        Disagreement: logits or loss differ from PyTorch's.
    """
    model = network.build()
    yield from _training(network, model, rounds)
    for batch in INFERENCE_BATCHES:
        images = network.images(batch)
        works = {v: inference(s) for v, s in sides(network.model, model, images).items()}
        samples = in_turn(works, INFERENCE_SECONDS, rounds)
        yield Row("network", network.model, "inference", images.shape, samples)


def _training(network: Network, model: nn.Module, rounds: int | None) -> Iterator[Row]:
    images, labels = network.images(network.batch), network.labels(network.batch)
    engines = sides(network.model, model, images)
    ours = loss_of(engines[MINIGRAD], labels)
    for variant, side in engines.items():
        compare(f"{network.model}, {variant}, the loss", ours, loss_of(side, labels))
    works = {v: training_step(side, labels, optimizers(side)) for v, side in engines.items()}
    samples = in_turn(works, TRAINING_SECONDS, rounds)
    for name, other in (("training step", FUSED), (f"training step, {FUSED}", DEFAULT)):
        counted = {
            variant: {p: s for p, s in phases.items() if p != other or variant == MINIGRAD}
            for variant, phases in samples.items()
        }
        yield Row("network", network.model, name, images.shape, counted)


def loss_of(side: Side, labels: np.ndarray) -> np.ndarray:
    """The cross-entropy of what the network computes in eval mode, as an array."""
    side.module.eval()
    with side.engine.no_grad():
        loss = side.engine.nn.functional.cross_entropy(
            side.module(*side.inputs), side.engine.from_numpy(labels)
        )
    side.module.train()
    return np.asarray(loss)


def optimizers(side: Side) -> dict[str, Any]:
    """The optimizers that follow each other in a step: PyTorch's fused SGD after its default one.

    Both change the same weights, which makes neither of them slower; a row counts only one.
    """
    parameters = list(side.module.parameters())
    if side.engine is minigrad:
        return {DEFAULT: optim.SGD(parameters, **SGD)}
    sgd = side.engine.optim.SGD
    return {DEFAULT: sgd(parameters, **SGD), FUSED: sgd(parameters, **SGD, fused=True)}
