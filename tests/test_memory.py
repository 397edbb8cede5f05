"""Nothing lives longer than it is needed: the graph, its gradients, and the pool under them."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import tracemalloc
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn, optim
from minigrad.kernels.cpu import memory

MiB = 1 << 20
pytestmark = pytest.mark.usefixtures("no_collector")


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Without the garbage collector: what is freed here, reference counts alone have freed."""
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def array_bytes() -> int:
    """Bytes of all living arrays, NumPy's own and the pool's."""
    snapshot = tracemalloc.take_snapshot()
    domain = tracemalloc.DomainFilter(inclusive=True, domain=np.lib.tracemalloc_domain)
    numpys = sum(trace.size for trace in snapshot.filter_traces([domain]).traces)
    return numpys + memory.used_bytes()


# -------------------------------------------------------------------------------------- the graph


def held(x: mg.Tensor) -> tuple[mg.Tensor, Any]:
    """A loss, and a weak reference to an array that only its graph holds on to."""
    h = x * 2
    array = weakref.ref(h.array)
    return (h * h).sum(), array


def test_an_intermediate_is_dead_after_backward() -> None:
    x = mg.ones(3, requires_grad=True)
    loss, intermediate = held(x)
    assert intermediate() is not None
    loss.backward()
    assert intermediate() is None


def test_retain_graph_keeps_it_until_the_loss_dies() -> None:
    x = mg.ones(3, requires_grad=True)
    loss, intermediate = held(x)
    loss.backward(retain_graph=True)
    assert intermediate() is not None
    del loss
    assert intermediate() is None


def test_a_graph_without_backward_dies_with_its_loss() -> None:
    loss, intermediate = held(mg.ones(3, requires_grad=True))
    del loss
    assert intermediate() is None


def test_nothing_is_held_without_grad() -> None:
    with mg.no_grad():
        loss, intermediate = held(mg.ones(3, requires_grad=True))
    assert intermediate() is None
    assert loss.item() == 12


def test_relu_does_not_hold_its_input() -> None:
    """The largest arrays of a network, each needed once, are not kept twice."""
    h = mg.ones(1, 3, 8, 8, requires_grad=True) * 2
    array = weakref.ref(h.array)
    y = F.max_pool2d(F.relu(h), 2)
    del h
    assert array() is None
    y.sum().backward()


def test_a_pool_holds_a_byte_an_output() -> None:
    x = mg.randn(1, 4, 64, 64, requires_grad=True)
    y = F.max_pool2d(x, 2)
    assert [saved.dtype for saved in y.grad_fn._saved] == [np.uint8]
    y.sum().backward()


def test_backward_holds_few_gradients_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty operations on one MiB each: no more than a few of their gradients at a time."""
    x = mg.ones(MiB // 4, requires_grad=True)
    y = x
    for _ in range(20):
        y = y * 1.01
    g = mg.ones_like(y)
    before, take, used = memory.used_bytes(), memory._pool.take, []

    def recording(size: int) -> int:
        start = take(size)
        used.append(memory.used_bytes() - before)
        return start

    monkeypatch.setattr(memory._pool, "take", recording)
    y.backward(g)
    assert MiB <= max(used) < 5 * MiB


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("make", [
    lambda params: optim.SGD(params, lr=0.01, momentum=0.9, weight_decay=1e-4),
    lambda params: optim.Adam(params, lr=1e-3),
], ids=["sgd", "adam"])
def test_every_step_leaves_as_much_as_the_first_and_maps_no_more(make: Any) -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 8, 5, padding=2), nn.ReLU(inplace=True), nn.LocalResponseNorm(5),
        nn.MaxPool2d(3, 2), nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5),
        nn.Flatten(), nn.Linear(8 * 11 * 11, 10),
    )
    optimizer = make(model.parameters())
    images, labels = mg.randn(8, 1, 28, 28), mg.randint(0, 10, (8,))
    left, mapped = [], []
    for _ in range(5):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        left.append(array_bytes())
        mapped.append(memory.arena().top)
    assert set(left[1:]) == {left[0]}
    assert mapped[-1] == mapped[2]  # later steps map no new memory


# --------------------------------------------------------------------------------------- the pool


def address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


def test_a_dead_arrays_memory_is_used_again() -> None:
    mg.empty_cache()
    a = memory.empty((3, MiB), np.float32)
    before = address(a)
    assert memory.cached_bytes() == 0
    del a
    assert memory.cached_bytes() >= 12 * MiB
    b = memory.empty((3 * MiB - 5,), np.float32)  # nearly as large: the same size class
    assert address(b) == before
    assert address(memory.empty((3 * MiB,), np.float32)) != before


def test_ranges_join_their_neighbours_and_give_the_best_fit() -> None:
    ranges = memory.Ranges()
    for start, size in ((0, 10), (100, 30), (200, 20)):
        ranges.give(start, size)
    assert ranges.take(15) == 200  # of the three the one that fits best
    assert ranges.take(5) == 215  # what is left of it
    assert ranges.take(31) is None
    ranges.give(10, 90)  # between two others
    assert ranges.by_size == [(130, 0)] and ranges.total == 130
    assert ranges.take_last(77) == 77  # nothing ends there
    assert ranges.take_last(130) == 0
    assert not (ranges.total or ranges.by_size or ranges.size_at or ranges.start_of)


@pytest.mark.parametrize("seed", range(5))
def test_ranges_are_never_given_out_twice(seed: int) -> None:
    """A thousand random requests, against a map of every byte."""
    rng, ranges, taken = np.random.default_rng(seed), memory.Ranges(), {}
    is_free = np.ones(500, bool)
    ranges.give(0, len(is_free))
    for _ in range(1000):
        if rng.random() < 0.5 and taken:
            start = list(taken)[rng.integers(len(taken))]
            size = taken.pop(start)
            ranges.give(start, size)
            is_free[start : start + size] = True
            continue
        size = int(rng.integers(1, 40))
        start = ranges.take(size)
        runs = "".join(map(str, is_free.astype(int))).split("0")
        assert (start is None) == (max(map(len, runs)) < size)
        if start is not None:
            taken[start] = size
            assert is_free[start : start + size].all()
            is_free[start : start + size] = False
        assert ranges.total == is_free.sum()


def test_large_blocks_are_cut_from_larger_ones_and_new_ones_begin_with_what_is_free() -> None:
    pool = memory._Pool(memory.Arena(), limit=100 * MiB)
    starts = [pool.take(4 * MiB) for _ in range(3)]
    assert starts == [0, 4 * MiB, 8 * MiB]
    pool.give(0, 4 * MiB)
    pool.give(8 * MiB, 4 * MiB)
    assert pool.take(3 * MiB) == 0
    assert pool.take(5 * MiB) == 8 * MiB and pool.arena.top == 13 * MiB
    assert pool.free.by_size == [(MiB, 3 * MiB)] and pool.used_bytes == 12 * MiB


def test_small_blocks_share_a_large_one() -> None:
    pool = memory._Pool(memory.Arena(), limit=100 * MiB)
    starts = {pool.take(640) for _ in range(memory.LARGE // 640)}
    assert len(starts) == memory.LARGE // 640 and max(starts) < pool.arena.top == memory.LARGE
    for start in starts:
        pool.give(start, 640)
    assert pool.take(640) in starts and pool.free.total == 0 and pool.used_bytes == 640


def test_what_the_garbage_collector_gives_back_in_the_midst_of_a_take_is_not_lost() -> None:
    pool = memory._Pool(memory.Arena(), limit=100 * MiB)
    start = pool.take(MiB)
    with pool.lock:  # as inside `take`
        pool.give(start, MiB)
        assert pool.free.total == 0
    assert pool.take(MiB) == start


def test_a_view_keeps_the_memory() -> None:
    a = memory.empty((4, MiB), np.uint8)
    view = a[2:].reshape(-1).view(np.int16)
    view[:] = 7
    del a
    b = memory.zeros((4, MiB), np.uint8)
    assert not np.shares_memory(b, view)
    assert (view == 7).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64, np.bool_, complex])
def test_arrays_are_aligned_contiguous_and_writeable(dtype: Any) -> None:
    for shape in ((257, 333), 100_001, (0, 5), (), (2, 3)):
        array = memory.zeros(shape, dtype)
        assert array.shape == ((shape,) if isinstance(shape, int) else shape)
        assert array.dtype == dtype
        assert array.flags.c_contiguous
        assert array.flags.writeable
        assert not array.any()
        assert address(array) % memory.ALIGNMENT == 0
        assert memory.is_shared(array)


def test_the_pool_is_bounded() -> None:
    pool = memory._Pool(memory.Arena(), limit=10 * MiB)
    starts = [pool.take(size * MiB) for size in (1, 8, 1, 4)]
    for start, size in zip(starts[1::2], (8, 4), strict=True):
        pool.give(start, size * MiB)
    assert pool.free.by_size == [(4 * MiB, starts[3]), (6 * MiB, starts[1])]  # the largest lost 2
    assert pool.released.by_size == [(2 * MiB, starts[1] + 6 * MiB)]
    assert pool.take(7 * MiB) == pool.arena.top - 7 * MiB == starts[3]  # grown from the last
    assert pool.take(2 * MiB) == starts[1]
    assert pool.take(4 * MiB) == starts[1] + 2 * MiB
    assert pool.take(2 * MiB) == starts[1] + 6 * MiB  # addresses without memory come last
    pool.give(pool.take(20 * MiB), 20 * MiB)  # larger than the pool
    assert pool.free.total == 10 * MiB


def shared_memory() -> int:
    """Bytes of the arena that this process has in memory."""
    with open("/proc/self/status") as file:
        (line,) = (line for line in file if line.startswith("RssShmem"))
    return int(line.split()[1]) * 1024


def test_an_arena_takes_memory_where_it_is_written_to_and_gives_it_back() -> None:
    pool, before = memory._Pool(memory.Arena(), limit=100 * MiB), shared_memory()
    first = pool.take(64 * MiB)
    pool.take(64 * MiB)
    assert shared_memory() - before < MiB
    written = pool.arena.bytes[first : first + 64 * MiB]
    written.fill(1)
    assert 64 * MiB <= shared_memory() - before < 65 * MiB
    pool.give(first, 64 * MiB)
    pool.empty()
    assert shared_memory() - before < MiB
    assert pool.take(64 * MiB) == first and not written.any()  # the same addresses, empty


def test_arrays_where_no_arena_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under a limit on addresses the arrays are NumPy's own; see also test_cores.py."""
    monkeypatch.setattr(memory._pool.arena, "size", 0)  # as where there is a limit
    for size in (64, MiB):
        array = memory.empty(size, np.uint8)
        assert len(array) == size and address(array) % memory.ALIGNMENT == 0
        assert not memory.is_shared(array)


def test_more_than_there_is_is_a_memory_error_and_no_crash() -> None:
    for nbytes in (4 * memory.PHYSICAL_MEMORY, 2 * memory.ADDRESSES):
        with pytest.raises(MemoryError, match="Unable to allocate"):
            mg.zeros(nbytes, dtype=mg.uint8)


def test_empty_cache() -> None:
    array = memory.empty(MiB, np.uint8)
    del array
    assert memory.cached_bytes() > 0
    mg.empty_cache()
    assert memory.cached_bytes() == 0


def test_threads_never_get_the_same_block() -> None:
    wrong: list[int] = []

    def work(number: int) -> None:
        for _ in range(200):
            array = memory.empty(memory.LARGE, np.uint8)
            array.fill(number)
            if not (array == number).all():
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_forked_child_has_a_pool_of_its_own(in_child: Any) -> None:
    kept, freed = memory.zeros(MiB, np.uint8), memory.empty(MiB, np.uint8)
    del freed
    assert memory.cached_bytes() > 0

    def child() -> None:
        assert memory.cached_bytes() == 0
        array = memory.empty(MiB, np.uint8)
        array.fill(1)
        assert not np.shares_memory(array, kept)
        assert not kept.any()

    in_child(child)
    assert memory.cached_bytes() == 0  # given back, so that the child had less to copy
    assert not kept.any()


def test_a_forked_child_keeps_the_arrays_it_has_inherited(in_child: Any) -> None:
    """A shared mapping would stay shared: each would see what the other writes."""
    ours = [memory.zeros(size, np.uint8) for size in (100, MiB)]
    forked, written = os.pipe(), os.pipe()

    def child() -> None:
        os.write(forked[1], b"!")
        os.read(written[0], 1)
        for array in ours:
            assert not array.any()
            array.fill(2)

    def parent() -> None:
        os.read(forked[0], 1)
        for array in ours:
            array.fill(1)
        os.write(written[1], b"!")

    thread = threading.Thread(target=parent, daemon=True)
    thread.start()
    in_child(child)
    thread.join()
    for array in ours:
        assert (array == 1).all()
    for end in (*forked, *written):
        os.close(end)


def test_a_fork_copies_what_is_there_and_nothing_else(in_child: Any) -> None:
    kept = memory.zeros(MiB, np.uint8)
    untouched = memory.empty(256 * MiB, np.uint8)

    def child() -> None:
        with open("/proc/self/smaps_rollup") as file:
            held = sum(int(line.split()[1]) for line in file if line.startswith("Private_Dirty"))
        assert held * 1024 < 200 * MiB
        assert not kept.any()
        assert os.fstat(inherited).st_ino != inode  # the parent's arena is not held open

    inherited = memory.arena().file
    inode = os.fstat(inherited).st_ino
    mg.empty_cache()
    before = os.fstat(inherited).st_blocks
    in_child(child)
    assert (os.fstat(inherited).st_blocks - before) * 512 < 8 * MiB
    assert untouched.nbytes == 256 * MiB


def test_leaving_the_process_is_silent() -> None:
    """Arrays that outlive the modules they came from must not complain on their way out."""
    code = "import minigrad as mg; x = mg.zeros(10**6, requires_grad=True); y = (x * 2).relu()"
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    assert (run.stdout, run.stderr) == ("", "")
