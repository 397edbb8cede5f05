"""Timing several engines in one process, strictly in turn: A B C A B C ...

A machine is never quite at rest: its clock and its other users change from second to second. What
is measured in turn is disturbed alike, so the ratio of two neighbours is steadier than the ratio
of two medians taken minutes apart. Every sample is kept. `bench.py` here and the folder `bench/` of
a checkout measure with it. Next: `twin.py`.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

WARM_UPS = 2  # rounds before the first sample: memory is mapped, and workers have started
FEWEST, MOST = 3, 15  # rounds, where their number is left to the time that they take
SHORTEST = 0.005  # seconds that a sample lasts at least; what is faster is called several times
PAUSE = 0.015  # seconds between turns: OpenMP's workers spin for some 10 ms after their last job
#                (ours for 5), and would take a core from the engine whose turn it is

Samples = dict[str, list[float]]  # phase -> seconds a call, one entry a round


def _nothing() -> None:
    return None


@dataclass(frozen=True)
class Work:
    """What one engine does in its turn.

    Attributes:
        phases: name -> function. Each is timed, and is given what the one before it returned.
        prepare: called before the phases and not timed; the first phase is given its result.
        wait: called after `prepare` and after each phase, whose time it belongs to: where a GPU
            computes, a call that returns has only asked for work.
    """

    phases: Mapping[str, Callable[[Any], Any]]
    prepare: Callable[[], Any] = _nothing
    wait: Callable[[], Any] = _nothing

    def once(self) -> None:
        """All phases, not timed."""
        state = self.prepare()
        for phase in self.phases.values():
            state = phase(state)
        self.wait()


@dataclass(frozen=True)
class Series:
    """Numbers measured one after the other, and how they spread."""

    values: tuple[float, ...]
    median: float = field(init=False)
    least: float = field(init=False)
    most: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "median", statistics.median(self.values))
        object.__setattr__(self, "least", min(self.values))
        object.__setattr__(self, "most", max(self.values))

    @property
    def n(self) -> int:
        return len(self.values)

    @classmethod
    def sum_of(cls, samples: Iterable[list[float]]) -> Self:
        """Round by round the sum of several phases."""
        return cls(tuple(map(math.fsum, zip(*samples, strict=True))))

    def over(self, other: Series) -> Series:
        """Round by round self / other: the pairwise ratio."""
        return Series(tuple(a / b for a, b in zip(self.values, other.values, strict=True)))


def in_turn(
    works: Mapping[str, Work],
    seconds: float,
    rounds: int | None = None,
    clock: Callable[[], float] = time.perf_counter,
    pause: Callable[[float], None] = time.sleep,
    *,
    warm_ups: int = WARM_UPS,
    bounds: tuple[int, int] = (FEWEST, MOST),
    shortest: float = SHORTEST,
    after_round: Callable[[int, Mapping[str, Samples]], None] = lambda done, samples: None,
) -> dict[str, Samples]:
    """Time all `works`, round after round, each once a round and in the same order.

    The time is that of the phases alone: not of `prepare`, nor of freeing what a phase returned.

    Args:
        seconds: how long the rounds may take together, judged by the last warm-up.
        rounds: exactly so many instead.
        warm_ups: rounds before the first sample, at least one.
        bounds: how many rounds there are at least and at most, if `seconds` decides.
        shortest: what is faster is called several times in a row, and the average is the sample.
        after_round: is told how many rounds are done, and all samples so far.

    Returns:
        For each work and phase the seconds of one call in each round.
    """
    calls = dict.fromkeys(works, 1)
    rest = PAUSE if len(works) > 1 else 0.0
    for _ in range(warm_ups):
        began = clock()
        for name, work in works.items():
            calls[name] = _calls_for(sum(_time(work, 1, clock).values()), shortest)
        spent = clock() - began
    if rounds is None:
        estimate = max(spent, shortest * len(works), 1e-9) + rest * len(works)
        rounds = min(max(int(seconds / estimate), bounds[0]), bounds[1])
    samples: dict[str, Samples] = {v: {p: [] for p in w.phases} for v, w in works.items()}
    for done in range(1, rounds + 1):
        for name, work in works.items():
            pause(rest)
            for phase, taken in _time(work, calls[name], clock).items():
                samples[name][phase].append(taken)
        after_round(done, samples)
    return samples


def _calls_for(seconds: float, shortest: float) -> int:
    """How often to call what takes so many seconds, to fill the shortest sample."""
    return max(1, math.ceil(shortest / max(seconds, 1e-7)))


def _time(work: Work, calls: int, clock: Callable[[], float]) -> dict[str, float]:
    """The seconds of each phase, averaged over some calls in a row."""
    taken = dict.fromkeys(work.phases, 0.0)
    for _ in range(calls):
        state = work.prepare()
        work.wait()
        for name, phase in work.phases.items():
            began = clock()
            result = phase(state)
            work.wait()
            taken[name] += clock() - began
            state = result
    return {name: seconds / calls for name, seconds in taken.items()}
