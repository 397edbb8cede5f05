"""The clock of every comparison: turns, phases, warm-up, how many rounds."""

from __future__ import annotations

import pytest

from alexnet.timing import FEWEST, MOST, WARM_UPS, Series, Work, in_turn


class Clock:
    """Time that passes only when something says that it takes time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.turns: list[str] = []

    def __call__(self) -> float:
        return self.now

    def takes(self, *seconds: float, name: str = "", result: object = None):
        """A function that lasts the first of `seconds`, then the next, and the last ever after."""
        left = list(seconds)

        def function(*_: object) -> object:
            self.now += left.pop(0) if len(left) > 1 else left[0]
            self.turns.append(name)
            return result

        return function


def test_engines_take_turns_and_only_phases_count():
    clock = Clock()
    warm = [9.0] * WARM_UPS
    a = Work(
        {"forward": clock.takes(*warm, 1, 2, name="A"), "backward": clock.takes(3)},
        prepare=clock.takes(100),
    )
    b = Work({"forward": clock.takes(*warm, 4, 5, name="B")})
    samples = in_turn({"a": a, "b": b}, seconds=0, rounds=2, clock=clock, pause=clock.takes(50))
    assert samples == {"a": {"forward": [1, 2], "backward": [3, 3]}, "b": {"forward": [4, 5]}}
    assert [name for name in clock.turns if name] == ["A", "B"] * (WARM_UPS + 2)


def test_a_phase_is_given_what_the_one_before_returned():
    seen = []
    phases = {"first": lambda state: seen.append(state) or "y", "second": seen.append}
    clock = Clock()
    in_turn({"a": Work(phases, lambda: "x")}, 0, 1, clock, clock.takes(0))
    assert set(seen[::2]) == {"x"} and set(seen[1::2]) == {"y"}


@pytest.mark.parametrize(("seconds", "rounds"), [(0, FEWEST), (8.5, 8), (1000, MOST)])
def test_rounds_fill_the_time(seconds, rounds):
    clock = Clock()
    samples = in_turn({"a": Work({"p": clock.takes(1)})}, seconds, None, clock, clock.takes(0))
    assert len(samples["a"]["p"]) == rounds


def test_short_work_is_repeated_and_averaged():
    clock = Clock()
    warm, calls = [0.001] * WARM_UPS, [0.001, 0.002, 0.003, 0.004, 0.005]
    work = Work({"p": clock.takes(*warm, *calls, 0.001)})
    samples = in_turn({"a": work}, 0, 2, clock, clock.takes(0))
    assert samples["a"]["p"] == pytest.approx([0.003, 0.001])  # five calls fill 5 ms
    work = Work({"p": clock.takes(*warm, *calls)})
    samples = in_turn({"a": work}, 0, 2, clock, clock.takes(0), shortest=0.0)
    assert samples["a"]["p"] == pytest.approx([0.001, 0.002])  # one call a sample, if so asked


def test_what_a_gpu_was_asked_for_counts_for_the_phase_that_asked():
    clock, asked = Clock(), []

    def wait() -> None:
        clock.now += sum(asked)
        asked.clear()

    phases = {"first": lambda _: asked.append(2.0), "second": lambda _: asked.append(3.0)}
    work = Work(phases, lambda: asked.append(100.0), wait)
    samples = in_turn({"a": work}, 0, 1, clock, clock.takes(0))
    assert samples == {"a": {"first": [2.0], "second": [3.0]}}
    before = clock.now
    work.once()
    assert clock.now - before == 105.0 and not asked


def test_a_single_engine_need_not_rest():
    clock = Clock()
    rests: list[float] = []
    in_turn({"a": Work({"p": clock.takes(1)})}, 0, 2, clock, rests.append)
    assert rests == [0.0, 0.0]


def test_each_round_can_be_told():
    clock, told = Clock(), []
    work = Work({"p": clock.takes(9, 9, 1, 2, 3)})
    in_turn({"a": work}, 0, 3, clock, clock.takes(0),
            after_round=lambda done, samples: told.append((done, samples["a"]["p"][-1])))
    assert told == [(1, 1), (2, 2), (3, 3)]


def test_series():
    ours, theirs = Series((1.0, 2.0, 4.0)), Series((3.0, 4.0, 2.0))
    assert (ours.median, ours.least, ours.most, ours.n) == (2.0, 1.0, 4.0, 3)
    assert theirs.over(ours).values == (3.0, 2.0, 0.5)  # pair by pair, not median by median
    assert Series.sum_of([[1.0, 2.0], [10.0, 20.0]]).values == (11.0, 22.0)
