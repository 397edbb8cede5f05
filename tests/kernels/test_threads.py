"""Threads that take images: every image once, errors out loud, BLAS as it was, the same bits."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import minigrad as mg
from minigrad.kernels.cpu import conv2d, conv2d_backward_input, conv2d_backward_weight
from minigrad.kernels.cpu import threads as threading_of_ours
from minigrad.kernels.cpu.threads import one_blas_thread, parallel


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """The tests here may set the number of threads as they like."""
    before = mg.get_num_threads()
    yield
    mg.set_num_threads(before)


@pytest.fixture(params=[1, 2, 3])
def threads(request: pytest.FixtureRequest) -> int:
    mg.set_num_threads(request.param)
    return request.param


def blas_threads() -> set[int]:
    return {lib["num_threads"] for lib in threadpool_info() if "numpy" in lib["filepath"]}


def test_ranges_cover_everything_once(threads: int) -> None:
    for n in (0, 1, 2, 5, 100):
        ranges: list[tuple[int, int]] = []
        parallel(lambda start, stop, ranges=ranges: ranges.append((start, stop)), n)
        assert sorted(i for start, stop in ranges for i in range(start, stop)) == list(range(n))
        assert len(ranges) == min(threads, n)


def test_ranges_run_at_the_same_time() -> None:
    mg.set_num_threads(2)
    meeting = threading.Barrier(2, timeout=10)
    parallel(lambda start, stop: meeting.wait(), 2)


def test_nested_calls_run_inline(threads: int) -> None:
    ran: list[tuple[int, int, bool]] = []

    def outer(start: int, stop: int) -> None:
        here = threading.get_ident()
        parallel(lambda a, b: ran.append((a, b, threading.get_ident() == here)), 10)

    parallel(outer, 3)
    assert ran == [(0, 10, True)] * min(threads, 3)


@pytest.mark.parametrize("failing", [0, 2], ids=["own-range", "workers-range"])
def test_errors_are_raised_after_all_ranges_ended(failing: int) -> None:
    mg.set_num_threads(3)
    ended = []

    def fn(start: int, stop: int) -> None:
        if start == failing:
            raise ZeroDivisionError(f"image {start}")
        ended.append(start)

    with pytest.raises(ZeroDivisionError, match=f"image {failing}"):
        parallel(fn, 3)
    assert sorted(ended) == sorted({0, 1, 2} - {failing})
    ran: list[int] = []
    parallel(lambda start, stop: ran.append(start), 3)  # the threads have survived
    assert len(ran) == 3


def test_blas_is_held_to_one_thread_and_let_go(threads: int) -> None:
    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        inside: list[set[int]] = []
        parallel(lambda start, stop: inside.append(blas_threads()), 3, blas=True)
        assert inside == [{1}] * min(threads, 3)
        assert blas_threads() == before == {2}
        with pytest.raises(ZeroDivisionError):
            parallel(lambda start, stop: 1 // 0, 3, blas=True)
        assert blas_threads() == before
        with one_blas_thread(), one_blas_thread():
            assert blas_threads() == {1}
        assert blas_threads() == before


def images() -> tuple[Any, ...]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((7, 6, 23, 21), dtype=np.float32)
    w = rng.standard_normal((8, 6, 5, 3), dtype=np.float32)
    b = rng.standard_normal(8, dtype=np.float32)
    options = ((2, 1), (1, 1, 2, 2), (1, 1), 1)
    return x, w, b, options


def convolved() -> list[np.ndarray]:
    x, w, b, options = images()
    y = conv2d(x, w, b, *options)
    return [
        y, conv2d_backward_input(y, w, x.shape, *options),
        conv2d_backward_weight(y, x, w.shape, *options),
    ]


def test_the_same_bits_twice(threads: int) -> None:
    for first, again in zip(convolved(), convolved(), strict=True):
        np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("count", [2, 3])
def test_side_by_side_or_in_turn_gives_the_same_bits(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    mg.set_num_threads(count)
    monkeypatch.setattr(threading_of_ours, "ENOUGH_WORK", 0)
    results = []
    for run in (threading_of_ours._side_by_side, threading_of_ours._in_turn):
        way = threading_of_ours._Way(run)
        monkeypatch.setattr(threading_of_ours, "_way", lambda *_, way=way: way)
        results.append(convolved())
        assert way.seconds
    for first, second in zip(*results, strict=True):
        np.testing.assert_array_equal(first, second)


def test_the_way_that_took_less_time_is_taken() -> None:
    def fn(start: int, stop: int) -> None:
        raise AssertionError("is only a name here")

    side_by_side, in_turn = threading_of_ours._side_by_side, threading_of_ours._in_turn
    for run, seconds in ((side_by_side, 0.5), (in_turn, 0.1)):
        for _ in range(2):
            way = threading_of_ours._way(fn, 8, 2, 1.0)
            assert way.run is run
            way.seconds.append(seconds)
    runs = [threading_of_ours._way(fn, 8, 2, 1.0).run for _ in range(40)]
    assert runs.count(side_by_side) == 2  # another chance now and then
    way.seconds.extend([1.0] * 5)  # of running in turn: the machine has changed
    runs = [threading_of_ours._way(fn, 8, 2, 1.0).run for _ in range(40)]
    assert runs.count(side_by_side) >= 38


def test_any_number_of_threads_agrees() -> None:
    results = []
    for n in (1, 2, 5):
        mg.set_num_threads(n)
        results.append(convolved())
    for others in results[1:]:
        for one, other in zip(results[0], others, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-3)


def test_several_callers_at_once() -> None:
    """Three threads of the user's, each computing with all of ours.

    OpenBLAS takes its number of threads from the main thread only, so that the callers' sums may
    be split differently: equal to rounding, not to the bit.
    """
    mg.set_num_threads(2)
    truth, results = convolved(), {}
    callers = [
        threading.Thread(target=lambda i=i: results.update({i: convolved()})) for i in range(3)
    ]
    before = blas_threads()
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert blas_threads() == before
    for i in range(3):
        for expected, actual in zip(truth, results[i], strict=True):
            np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-3)


def test_a_forked_child_computes_too(in_child: Any) -> None:
    mg.set_num_threads(2)
    truth = convolved()

    def child() -> None:
        for expected, actual in zip(truth, convolved(), strict=True):
            np.testing.assert_array_equal(actual, expected)

    in_child(child)
    in_child(child)  # and the parent's threads are as they were


@pytest.mark.parametrize("n", [0, -1, 1.5, "2"])
def test_a_number_of_threads_that_is_none(n: Any) -> None:
    with pytest.raises(ValueError, match=f"positive integer, got {n!r}"):
        mg.set_num_threads(n)


def test_the_environment_sets_the_number() -> None:
    def run(value: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", "import minigrad; print(minigrad.get_num_threads())"],
            env={"MINIGRAD_NUM_THREADS": value, "PYTHONPATH": ":".join(filter(None, sys.path))},
            capture_output=True, text=True, check=False,
        )

    assert run("3").stdout == "3\n"
    assert int(run("").stdout) >= 1
    assert "MINIGRAD_NUM_THREADS must be a positive integer, got 'many'" in run("many").stderr
