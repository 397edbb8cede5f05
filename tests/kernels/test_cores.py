"""Several cores: every image once, errors out loud, BLAS as it was, the same bits, no orphans."""

from __future__ import annotations

import io
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import minigrad as mg
from minigrad.kernels.cpu import (
    conv2d,
    conv2d_backward_input,
    conv2d_backward_weight,
    cores,
    memory,
    workers,
)
from minigrad.kernels.cpu.cores import one_blas_thread, parallel

PATIENCE = 240  # seconds, for what takes one where the machine is not shared


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """The tests here may set the number of threads as they like."""
    before = mg.get_num_threads()
    yield
    mg.set_num_threads(before)


@pytest.fixture(params=[1, 2, 3])
def count(request: pytest.FixtureRequest) -> int:
    use(request.param)
    return request.param


def use(count: int) -> None:
    """Compute on `count` cores, and wait until all workers have started."""
    mg.set_num_threads(count)
    deadline = time.monotonic() + PATIENCE
    while count > 1 and len(set(processes(count, patience=0.1))) < count:
        assert time.monotonic() < deadline, "the workers do not start"
        time.sleep(0.01)


def processes(n: int, work: float = math.inf, patience: float = PATIENCE) -> list[int]:
    """The process that each of n things was done in, when each waits until all have begun."""
    who = memory.zeros(n, np.int64)

    def fn(start: int, stop: int) -> None:
        meet(who, slice(start, stop), os.getpid(), patience)

    parallel(fn, n, work)
    return who.tolist()


def meet(here: np.ndarray, place: Any, value: int = 1, patience: float = PATIENCE) -> None:
    """Note `value`, and wait until nothing is 0: so nobody has time to do what others should."""
    here[place] = value
    deadline = time.monotonic() + patience
    while not here.all() and time.monotonic() < deadline:
        time.sleep(0.001)


def blas_threads() -> int:
    """BLAS's threads in this process; NumPy's BLAS, not PyTorch's."""
    (number,) = {lib["num_threads"] for lib in threadpool_info() if "numpy" in lib["filepath"]}
    return number


# ------------------------------------------------------------------------------------ the ranges


def test_ranges_cover_everything_once(count: int) -> None:
    for n in (0, 1, 2, 5, 100):
        times, starts = memory.zeros(n, np.int64), memory.zeros(n, np.int64)

        def fn(start: int, stop: int, times: np.ndarray = times, starts: np.ndarray = starts):
            times[start:stop] += 1
            starts[start] = 1

        parallel(fn, n)
        assert times.tolist() == [1] * n
        assert starts.sum() == min(count, n)


def test_each_range_has_a_process_of_its_own(count: int) -> None:
    who = processes(count)
    assert who[0] == os.getpid()
    assert len(set(who)) == count


def test_little_work_goes_to_few_cores() -> None:
    use(3)
    for ranges, expected in ((0.5, 1), (1.9, 1), (2, 2), (2.9, 2), (3, 3), (50, 3)):
        who = processes(3, work=ranges * cores.ENOUGH_WORK)
        assert len(set(who)) == expected


def test_nested_calls_run_inline(count: int) -> None:
    who, begun = memory.zeros((3, 4), np.int64), memory.zeros(3, np.int64)

    def outer(start: int, stop: int) -> None:
        meet(begun, slice(start, stop))
        for row in range(start, stop):

            def inner(first: int, last: int, row: int = row) -> None:
                who[row, first:last] = os.getpid() * (last - first)

            parallel(inner, 4)

    parallel(outer, 3)
    assert (who == who[:, :1]).all() and (who[0] == 4 * os.getpid()).all()
    assert len(set(who[:, 0].tolist())) == count


# ----------------------------------------------------------------------------------- what travels


def test_a_result_outside_of_the_arena_is_an_error_and_never_lost() -> None:
    use(2)
    for size in (2, 10_000):
        out, begun = np.zeros(size), memory.zeros(2, np.int64)
        assert not memory.is_shared(out)

        def fn(
            start: int, stop: int, out: np.ndarray = out, begun: np.ndarray = begun
        ) -> None:
            meet(begun, int(start > 0))
            out[start:stop] = 1

        with pytest.raises(ValueError, match="read-only"):
            parallel(fn, size)


@pytest.mark.parametrize("place", [np.asarray, lambda x: x.copy()], ids=["arena", "elsewhere"])
@pytest.mark.parametrize("shape", [(2, 3), (6, 50, 60)])
def test_arrays_arrive_whatever_their_strides(place: Callable, shape: tuple[int, ...]) -> None:
    use(2)
    x = memory.empty(shape, np.float32)
    x[...] = np.arange(x.size).reshape(shape)
    x = place(x)
    for view in (x, x[::-1], x.T, x[1:, ::2], np.broadcast_to(x[:1], shape), x[:0]):
        out = memory.zeros(view.shape, view.dtype)
        parallel(lambda i, j, out=out, view=view: np.copyto(out[i:j], view[i:j]), len(view))
        np.testing.assert_array_equal(out, view)


def test_a_copy_keeps_the_order_of_memory_and_does_not_blow_up_a_broadcast() -> None:
    plain = np.arange(2.0 * 3 * 400).reshape(2, 3, 400)
    for array in (plain, plain.T, plain[::-1, :, ::2], np.broadcast_to(plain[:, :1], plain.shape)):
        used, pickler = memory.used_bytes(), workers._Pickler(io.BytesIO())
        _, (place, shape, strides, _, writeable) = pickler._place(array)
        assert memory.used_bytes() - used <= plain.nbytes / (2 if 0 in array.strides else 0.8)
        copy = np.ndarray(shape, array.dtype, memory.arena().map, place, strides)
        np.testing.assert_array_equal(copy, array)
        assert not writeable
        assert [stride == 0 for stride in strides] == [stride == 0 for stride in array.strides]
        assert np.argsort(strides).tolist() == np.argsort(np.abs(array.strides)).tolist()


def test_a_notebooks_own_kernel_runs_here(tmp_path: Path) -> None:
    """Functions of __main__ are unknown to a worker, which starts without it."""
    script = tmp_path / "mine.py"
    script.write_text(
        "import os, time\nimport minigrad as mg\nfrom minigrad.kernels.cpu import cores, memory\n"
        "mg.set_num_threads(2)\nwho = memory.zeros(2, 'i8')\n"
        "def fn(i, j): who[i:j] = os.getpid()\n"
        "for _ in range(10): cores.parallel(fn, 2); time.sleep(0.05)\n"
        "print(set(who.tolist()) == {os.getpid()})\n"
    )
    assert run_python(str(script)).stdout == "True\n"


def run_python(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join(filter(None, sys.path))
    return subprocess.run(
        [sys.executable, *args], env={**os.environ, "PYTHONPATH": paths, **env},
        capture_output=True, text=True, check=False, timeout=PATIENCE,
    )


# -------------------------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize("failing", [0, 2], ids=["own-range", "workers-range"])
def test_errors_are_raised_after_all_ranges_ended(failing: int) -> None:
    use(3)
    begun, ended = memory.zeros((2, 3), np.int64)

    def fn(start: int, stop: int) -> None:
        meet(begun, start)
        if start == failing:
            raise ZeroDivisionError(f"image {start}")
        time.sleep(0.05)
        ended[start] = 1

    with pytest.raises(ZeroDivisionError, match=f"image {failing}") as caught:
        parallel(fn, 3)
    assert ended.tolist() == [start != failing for start in range(3)]
    notes = "".join(getattr(caught.value, "__notes__", []))
    assert ("in a worker process" in notes and "raise ZeroDivisionError" in notes) == (failing > 0)
    assert len(set(processes(3))) == 3  # the workers have survived


class Unloadable(Exception):
    def __init__(self, what: str, where: str) -> None:
        super().__init__(what)


def test_an_error_that_cannot_be_unpacked_is_named() -> None:
    use(2)
    begun = memory.zeros(2, np.int64)

    def fn(start: int, stop: int) -> None:
        meet(begun, start)
        if start:
            raise Unloadable("this", "there")

    with pytest.raises(RuntimeError, match="Unloadable in a worker process"):
        parallel(fn, 2)
    use(2)


def test_a_worker_imports_nothing_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fractions.py").write_text("raise SystemExit('the wrong module')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cores, "_team", cores._Team())
    use(2)
    cores._team.end()


def test_what_no_worker_has_begun_the_caller_does() -> None:
    """A worker that gets no core holds nobody up, and is as good as new when it gets one."""
    use(2)
    theirs = [worker.process.pid for worker in cores._team.workers]
    for process in theirs:
        os.kill(process, signal.SIGSTOP)
    try:
        for _ in range(3):
            assert processes(2, patience=0) == [os.getpid()] * 2
    finally:
        for process in theirs:
            os.kill(process, signal.SIGCONT)
    own, other = processes(2)
    assert own == os.getpid() and other in theirs


def test_a_worker_has_no_workers() -> None:
    use(3)
    begun, numbers = memory.zeros((2, 3), np.int64)

    def fn(start: int, stop: int) -> None:
        meet(begun, start)
        numbers[start] = mg.get_num_threads()

    parallel(fn, 3)
    assert numbers.tolist() == [3, 1, 1]


def test_a_worker_that_is_killed_is_an_error_and_replaced() -> None:
    use(2)
    own, begun = os.getpid(), memory.zeros(2, np.int64)

    def fn(start: int, stop: int) -> None:
        meet(begun, start)
        if os.getpid() != own:
            os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(RuntimeError, match="worker process of minigrad was killed.*memory"):
        parallel(fn, 2)
    use(2)


def test_a_worker_that_is_killed_between_calls_is_replaced() -> None:
    use(2)
    (worker,) = cores._team.workers
    os.kill(worker.process.pid, signal.SIGKILL)
    worker.process.wait()
    use(2)
    assert cores._team.workers[0] is not worker


def test_fewer_cores_are_fewer_workers() -> None:
    use(3)
    use(2)
    assert len(cores._team.workers) == 1


def test_interrupts_that_come_one_after_the_other_leave_no_letters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The second comes while the first ends the workers."""
    use(2)
    (worker,) = cores._team.workers
    out = memory.zeros(10, np.int64)

    def fn(start: int, stop: int) -> None:
        out[start:stop] += 1

    def interrupted(*args: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(workers.Mailbox, "take", interrupted)
        patch.setattr(workers.Worker, "end", interrupted)
        with pytest.raises(KeyboardInterrupt):
            parallel(fn, 10)
    worker.end()
    out.fill(0)
    use(2)
    parallel(fn, 10)
    assert out.tolist() == [1] * 10


def test_an_interrupt_while_waiting_ends_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    use(2)
    (worker, *_) = cores._team.workers

    def interrupted(workers: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(workers, "answers", interrupted)
        with pytest.raises(KeyboardInterrupt):
            processes(2)
    assert worker.process.returncode is not None  # nobody writes into our arrays any more
    use(2)


@pytest.mark.parametrize("python", ["/nowhere/python", "/bin/false"])
def test_without_workers_one_core_does_all(python: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "_team", cores._Team())
    monkeypatch.setattr(sys, "executable", python)
    mg.set_num_threads(2)
    with pytest.warns(RuntimeWarning, match="computes on one core: no worker process starts"):
        deadline = time.monotonic() + PATIENCE
        while cores._team.works:
            assert set(processes(2, patience=0)) == {os.getpid()}
            assert time.monotonic() < deadline, "nobody has noticed"
    assert set(processes(2, patience=0)) == {os.getpid()}


def test_where_addresses_are_limited_one_core_does_all() -> None:
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 32,) * 2)\n"
        "import minigrad as mg; x = mg.ones(512, 512); print((x @ x).sum().item())"
    )
    done = run_python("-W", "error", "-c", code, OPENBLAS_NUM_THREADS="1", MINIGRAD_NUM_THREADS="2")
    assert (done.stdout, done.stderr) == (f"{512.0**3}\n", "")


def test_a_worker_ends_with_its_caller() -> None:
    code = (
        "import os, time; from tests.kernels import test_cores as t; t.use(3)\n"
        "print(*(w.process.pid for w in t.cores._team.workers), flush=True)\n"
        "os.kill(os.getpid(), 9)"
    )
    first, second = run_python("-c", code).stdout.split()
    assert first != second
    wait_for_the_end_of(first)
    wait_for_the_end_of(second)


def wait_for_the_end_of(worker: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while os.path.exists(f"/proc/{worker}/stat"):
        with open(f"/proc/{worker}/stat") as file:
            if file.read().split()[2] == "Z":  # ended, and its parent has not asked yet
                return
        assert time.monotonic() < deadline, "the worker lives on"
        time.sleep(0.01)


# ------------------------------------------------------------------------------------------- BLAS


def test_blas_is_held_to_one_thread_and_let_go(count: int) -> None:
    with threadpool_limits(2, user_api="blas"):
        assert blas_threads() == 2
        inside = memory.zeros(3, np.int64)

        def fn(start: int, stop: int) -> None:
            inside[start:stop] = blas_threads()
            if fails:
                raise ZeroDivisionError

        fails = False
        parallel(fn, 3, blas=True)
        assert inside.tolist() == [1] * 3
        assert blas_threads() == 2
        fails = True
        with pytest.raises(ZeroDivisionError):
            parallel(fn, 3, blas=True)
        assert blas_threads() == 2
        with one_blas_thread(), one_blas_thread():
            assert blas_threads() == 1
        assert blas_threads() == 2


# --------------------------------------------------------------------------------------- the bits


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


def test_the_same_bits_twice_side_by_side_or_in_turn(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cores, "ENOUGH_WORK", 1)
    side_by_side = convolved()
    monkeypatch.setattr(cores._team, "works", False)
    for first, again in zip(side_by_side, convolved(), strict=True):
        np.testing.assert_array_equal(first, again)


def test_any_number_of_cores_agrees() -> None:
    results = []
    for n in (1, 2, 5):
        use(n)
        results.append(convolved())
    for others in results[1:]:
        for one, other in zip(results[0], others, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-3)


def test_several_callers_at_once() -> None:
    """Three threads of the user's: one has the workers, the others do their ranges in turn.

    OpenBLAS takes its number of threads from the main thread only, so that the callers' sums may
    be split differently: equal to rounding, not to the bit.
    """
    use(2)
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
    use(2)
    truth, ours = convolved(), {worker.process.pid for worker in cores._team.workers}

    def child() -> None:
        use(2)
        assert cores._team.workers[0].process.pid not in ours
        for expected, actual in zip(truth, convolved(), strict=True):
            np.testing.assert_array_equal(actual, expected)
        cores._team.end()

    in_child(child)
    in_child(child)
    assert ours & set(processes(2))  # and the parent's workers are as they were


# ------------------------------------------------------------------------------------- the number


@pytest.mark.parametrize("n", [0, -1, 1.5, "2"])
def test_a_number_of_threads_that_is_none(n: Any) -> None:
    with pytest.raises(ValueError, match=f"positive integer, got {n!r}"):
        mg.set_num_threads(n)


def test_the_environment_sets_the_number() -> None:
    def run(value: str) -> subprocess.CompletedProcess[str]:
        code = "import minigrad; print(minigrad.get_num_threads())"
        return run_python("-c", code, MINIGRAD_NUM_THREADS=value)

    assert run("3").stdout == "3\n"
    assert int(run("").stdout) >= 1
    assert "MINIGRAD_NUM_THREADS must be a positive integer, got 'many'" in run("many").stderr
