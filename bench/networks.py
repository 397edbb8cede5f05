"""The training step and the inference of whole networks, ours and PyTorch's.

One function drives both engines, which share an API: what is timed is literally the same code.
Next: `ops.py`, which takes the same networks apart, and `memory.py`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

import minigrad
from alexnet import models
from alexnet.timing import Work, in_turn
from alexnet.twin import MINIGRAD, Side, compare, network_twin, sides, torch_twin
from bench.rows import Row
from minigrad import nn, optim

# The paper's momentum and weight decay; a rate so small that many steps on noise stay finite.
SGD: dict[str, Any] = {"lr": 1e-4, "momentum": 0.9, "weight_decay": 5e-4}
DEFAULT, FUSED = "SGD", "fused SGD"  # PyTorch has SGD(fused=True), which is not its default
TRAINING_SECONDS, INFERENCE_SECONDS = 15.0, 5.0  # for one row; see `alexnet.timing.in_turn`
INFERENCE_BATCHES = (1, 128)


@dataclass(frozen=True)
class Network:
    """A network of `alexnet.models`, what it sees, and the batch that it is trained with.

    Attributes:
        name: of its rows; and of the model, unless `model` is given.
        image: (C, H, W), where it is not the published one; then there are ten classes.
        without: layers of this class are left out of a Sequential.
        inference: whether to time that as well.
    """

    name: str
    batch: int
    model: str = ""
    image: tuple[int, int, int] | None = None
    without: type[nn.Module] | None = None
    inference: bool = True

    @property
    def published(self) -> models.Published:
        return models.MODELS[self.model or self.name]

    @property
    def config(self) -> dict[str, int]:
        """How the model is built."""
        return {"in_channels": self.image[0], "num_classes": 10} if self.image else {}

    def build(self) -> nn.Module:
        """The network in training mode, with the same weights every time."""
        minigrad.manual_seed(0)
        net = models.get_model(self.model or self.name, **self.config)
        if self.without is None:
            return net
        kept = [(n, m) for n, m in net.named_children() if not isinstance(m, self.without)]
        return nn.Sequential(OrderedDict(kept))

    def twin(self, net: nn.Module) -> Any:
        """PyTorch's network with the weights of `net`."""
        if self.without is not None:
            return torch_twin(net)
        return network_twin(self.model or self.name, net, **self.config)

    def images(self, n: int) -> np.ndarray:
        """(n, C, H, W) of noise."""
        shape = (n, *(self.image or self.published.input_shape))
        return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)

    def labels(self, n: int) -> np.ndarray:
        """(n,) of class indices."""
        classes = self.config.get("num_classes", self.published.num_classes)
        return np.random.default_rng(1).integers(0, classes, n)


NETWORKS = {
    network.name: network
    for network in (
        Network("alexnet_d2l", batch=32),
        Network("alexnet_d2l_128", batch=128, model="alexnet_d2l", inference=False),
        Network("alexnet_2012", batch=32),
        Network("alexnet_small", batch=128),
        Network("small_no_lrn", batch=128, model="alexnet_small", without=nn.LocalResponseNorm),
        Network("vgg11", batch=8, image=(1, 224, 224)),
        Network("resnet18", batch=32, image=(3, 96, 96)),
    )
}


def training_step(
    side: Side, labels: np.ndarray, after: dict[str, Any],
    around: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> Work:  # fmt: skip
    """zero_grad, forward, cross-entropy, backward, and a step of each optimizer, for one engine.

    The forward pass and the loss are computed inside of `around()`.
    """
    module, (x,) = side.module, side.inputs
    target = side.engine.from_numpy(labels).to(x.device)
    cross_entropy = side.engine.nn.functional.cross_entropy

    def forward(_: None) -> Any:
        module.zero_grad()
        with around():
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
    for batch in INFERENCE_BATCHES if network.inference else ():
        images = network.images(batch)
        engines = sides(network.name, model, images, build=network.twin)
        samples = in_turn({v: inference(s) for v, s in engines.items()}, INFERENCE_SECONDS, rounds)
        yield Row("network", network.name, "inference", images.shape, samples)


def _training(network: Network, model: nn.Module, rounds: int | None) -> Iterator[Row]:
    images, labels = network.images(network.batch), network.labels(network.batch)
    engines = sides(network.name, model, images, build=network.twin)
    ours = loss_of(engines[MINIGRAD], labels)
    for variant, side in engines.items():
        compare(f"{network.name}, {variant}, the loss", ours, loss_of(side, labels))
    works = {v: training_step(side, labels, optimizers(side)) for v, side in engines.items()}
    samples = in_turn(works, TRAINING_SECONDS, rounds)
    for name, other in (("training step", FUSED), (f"training step, {FUSED}", DEFAULT)):
        counted = {
            variant: {p: s for p, s in phases.items() if p != other or variant == MINIGRAD}
            for variant, phases in samples.items()
        }
        yield Row("network", network.name, name, images.shape, counted)


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
