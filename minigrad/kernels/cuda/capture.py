"""What launches must know while they are recorded into a graph instead of run.

A graph repeats its launches with the arguments they had. So a number that changes from step to step
(a learning rate, a count of steps, the place in a stream of random numbers) has to lie in device
memory while a step is captured, and must be written there before each launch of the graph. Who
reads such a number in a kernel says with `before_launch` how it is written.
Next: `minigrad/cuda/graphs.py`, which captures.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_capture = threading.local()  # .actions of the step that this thread is capturing


class Outdated(Exception):
    """Raised by an action: what the graph works on is no longer what it would work on."""


def is_capturing() -> bool:
    """Whether launches of this thread are recorded, and not run."""
    return getattr(_capture, "actions", None) is not None


def before_launch(action: Callable[[], None]) -> None:
    """While a step is captured: have `action` called before each launch of its graph.

    The first launch, with which the call that captured ends, is none the less one of them. The
    action does what Python does in each step and a graph does not: it counts the step and writes
    the numbers that the captured kernels read, without waiting for the GPU (by a small launch with
    the numbers as arguments, say). Actions are called in the order in which they were given; one
    that finds its arrays replaced raises `Outdated`: then the step runs as it is, and the next call
    captures it anew.
    """
    _capture.actions.append(action)


@contextmanager
def recorded() -> Iterator[list[Callable[[], None]]]:
    """A block whose launches are recorded; the actions to be called before they are repeated."""
    actions: list[Callable[[], None]] = []
    _capture.actions = actions
    try:
        yield actions
    finally:
        _capture.actions = None
