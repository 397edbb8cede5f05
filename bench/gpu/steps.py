"""`python -m bench.gpu.steps ROW FILE`: one row of the table, in turn with PyTorch eager.

PyTorch runs in both memory layouts, with its default SGD and with its fused one, and the fastest of
the four counts; where we launch a step as one graph, `torch.compile(mode="reduce-overhead")`, which
does too, is a row more. Nothing is timed before both give the same scores. Next: `memory.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import minigrad
from alexnet.timing import in_turn
from alexnet.twin import (
    MINIGRAD,
    NCHW,
    Side,
    compare,
    first_results,
    import_torch,
    layouts,
    minigrad_side,
    torch_side,
)
from bench import table
from bench.gpu import memory
from bench.gpu.results import Results
from bench.gpu.sides import BF16, FP32, TF32, TOLERANCES, casts, device_of, each, pin, repeated
from bench.networks import DEFAULT, FUSED, NETWORKS, Network, optimizers, training_step
from bench.rows import Row

STEPS, SECONDS = 10, 6.0  # in a sample; for the samples of one row
COMPILED = 'compile(mode="reduce-overhead")'
Step = Callable[[], Any]


@dataclass(frozen=True)
class Goal:
    """A row of the table, and what was hoped for: PyTorch's time over ours, at least."""

    network: Network
    precision: str
    at_least: float
    graph: bool = False  # ours is launched as one graph


GOALS = {
    "alexnet_d2l fp32": Goal(NETWORKS["alexnet_d2l_128"], FP32, 2.0),
    "alexnet_d2l tf32": Goal(NETWORKS["alexnet_d2l_128"], TF32, 1.1),
    "alexnet_d2l bf16": Goal(NETWORKS["alexnet_d2l_128"], BF16, 1.1),
    "alexnet_2012 tf32": Goal(replace(NETWORKS["alexnet_2012"], batch=128), TF32, 2.0),
    "alexnet_small graph": Goal(NETWORKS["alexnet_small"], FP32, 4.0, graph=True),
}
LEVEL = 1.0  # at least, beside the compiled network


class Contest:
    """Both engines' copies of a network, on the GPU, in one precision, computing the same.

    Raises:
        ModuleNotFoundError: minigrad's bfloat16 needs a package that is not installed.
        Disagreement: the scores differ.
    """

    def __init__(self, name: str, goal: Goal) -> None:
        pin(goal.precision)
        network = goal.network
        images, self.labels = network.images(network.batch), network.labels(network.batch)
        self.goal, self.shape = goal, images.shape
        module = network.build()
        theirs = {
            layout: torch_side(module, layout, images, build=network.twin)
            for layout in layouts(images.ndim)
        }
        every = {MINIGRAD: minigrad_side(module, images), **theirs}
        self.sides = {name: side.to(device_of(side.engine)) for name, side in every.items()}
        ours, *others = (self.scores(side) for side in self.sides.values())
        for layout, scores in zip(theirs, others, strict=True):
            compare(f"{name}, {layout}", ours, scores, TOLERANCES[goal.precision])

    def scores(self, side: Side) -> np.ndarray:
        """Of the first two images."""
        with casts(side.engine, self.goal.precision)():
            return first_results(side)

    def step(self, side: Side, optimizer: str = DEFAULT) -> Step:
        """A training step of one side, that returns the loss."""
        around = casts(side.engine, self.goal.precision)
        work = training_step(side, self.labels, {"": optimizers(side)[optimizer]}, around)
        forward, *rest = work.phases.values()

        def step() -> Any:
            state = loss = forward(None)
            for phase in rest:
                state = phase(state)
            return loss

        return step

    def ours(self) -> Step:
        """Our step, as a graph if that is the row."""
        step = self.step(self.sides[MINIGRAD])
        return minigrad.cuda.graph(step, device_of(minigrad)) if self.goal.graph else step

    def theirs(self) -> Iterator[tuple[str, Step]]:
        """PyTorch's eager steps in each of its settings."""
        for layout, side in self.sides.items():
            if layout != MINIGRAD:
                yield layout, self.step(side)
                yield f"{layout}, {FUSED}", self.step(side, FUSED)

    def compiled(self) -> Step:
        """PyTorch's step with a compiled network, which it launches as graphs."""
        side = self.sides[NCHW]
        module = import_torch().compile(side.module, mode="reduce-overhead")
        return self.step(replace(side, module=module), FUSED)

    def timed(self, name: str, steps: dict[str, Step], rounds: int | None) -> dict[str, Any]:
        """The row of these steps, ours among them, and its line for the terminal."""
        engines = {n: minigrad if n == MINIGRAD else import_torch() for n in steps}
        works = {n: repeated(s, STEPS, engines[n]) for n, s in steps.items()}
        samples = {
            variant: {"step": each(phases["step"], STEPS)}
            for variant, phases in in_turn(works, SECONDS, rounds).items()
        }
        row = Row("network", self.goal.network.name, name, self.shape, samples)
        return {**row.to_json(), "line": "\n".join(table.lines(row))}


def measure(name: str, goal: Goal, results: Results, rounds: int | None = None) -> None:
    """The row, the peak memory of both sides, and, where we have a graph, the row beside PyTorch's
    compiled network: last, because compiling may take all the time that is left."""

    def row() -> dict[str, Any]:
        contest = Contest(name, goal)
        return contest.timed(name, {MINIGRAD: contest.ours(), **dict(contest.theirs())}, rounds)

    def beside_compiled() -> dict[str, Any]:
        contest = Contest(name, goal)
        steps = {MINIGRAD: contest.ours(), COMPILED: contest.compiled()}
        return contest.timed(f"{name}, compiled", steps, rounds)

    done = results.add("row", row, lambda _, row: row["line"])
    if done is None:
        return
    for what, side in (("minigrad", MINIGRAD), ("PyTorch", done["baseline"].partition(",")[0])):
        alone = partial(_alone, name, goal, side)
        results.add(f"memory {what}", partial(memory.measure, alone), memory.line)
    if goal.graph:
        results.add("compiled", beside_compiled, lambda _, row: row["line"])


def _alone(name: str, goal: Goal, which: str) -> tuple[Any, Step]:
    """One side's engine and step, without the other side's in memory."""
    contest = Contest(name, goal)
    side = contest.sides[which]
    contest.sides.clear()
    return side.engine, contest.step(side)


if __name__ == "__main__":
    with Results(Path(sys.argv[2])) as results:
        measure(sys.argv[1], GOALS[sys.argv[1]], results)
    sys.exit(results.status)
