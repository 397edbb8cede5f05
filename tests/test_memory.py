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

    def recording(size: int) -> memory.Block:
        block = take(size)
        used.append(memory.used_bytes() - before)
        return block

    monkeypatch.setattr(memory._pool, "take", recording)
    y.backward(g)
    assert MiB <= max(used) < 5 * MiB


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("make", [
    lambda params: optim.SGD(params, lr=0.01, momentum=0.9, weight_decay=1e-4),
    lambda params: optim.Adam(params, lr=1e-3),
], ids=["sgd", "adam"])
def test_every_step_leaves_as_much_as_the_first(make: Any) -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 8, 5, padding=2), nn.ReLU(inplace=True), nn.LocalResponseNorm(5),
        nn.MaxPool2d(3, 2), nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5),
        nn.Flatten(), nn.Linear(8 * 11 * 11, 10),
    )
    optimizer = make(model.parameters())
    images, labels = mg.randn(8, 1, 28, 28), mg.randint(0, 10, (8,))
    left = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        left.append(array_bytes())
    assert set(left[1:]) == {left[0]}


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


def block(size: int) -> memory.Block:
    return memoryview(np.empty(size, np.uint8))


def test_a_block_serves_requests_of_half_its_size_but_no_smaller() -> None:
    pool = memory._Pool(memory.Arena(), limit=100 * MiB)
    for size in (16 * MiB, 8 * MiB):
        pool.give(block(size))
    assert len(pool.take(5 * MiB)) == 8 * MiB  # the smallest that fits
    assert len(pool.take(5 * MiB)) == 5 * MiB  # 16 would waste more than half: a new one
    assert len(pool.take(9 * MiB)) == 16 * MiB
    assert pool.free_bytes == 0


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


def test_the_pool_is_bounded_and_forgets_the_oldest_size() -> None:
    pool = memory._Pool(memory.Arena(), limit=10 * MiB)
    for size in (MiB, 2 * MiB, 4 * MiB):
        pool.give(block(size))
    last = block(MiB)
    pool.give(last)  # 8 MiB; the 2 MiB size was used longest ago
    pool.give(block(3 * MiB))  # 11 MiB: one has to go
    assert pool.free_bytes == 9 * MiB
    assert not pool.free.get(2 * MiB)
    assert pool.take(MiB) is last
    pool.give(block(20 * MiB))  # larger than the pool
    assert pool.free_bytes <= 10 * MiB


def shared_memory() -> int:
    """Bytes of the arena that this process has in memory."""
    with open("/proc/self/status") as file:
        (line,) = (line for line in file if line.startswith("RssShmem"))
    return int(line.split()[1]) * 1024


def test_an_arena_takes_memory_where_it_is_written_to_and_gives_it_back() -> None:
    arena, before = memory.Arena(), shared_memory()
    first, second = arena.take(64 * MiB), arena.take(64 * MiB)
    assert shared_memory() - before < MiB
    np.frombuffer(first, np.uint8).fill(1)
    assert 64 * MiB <= shared_memory() - before < 65 * MiB
    arena.release(first)
    assert shared_memory() - before < MiB
    again = arena.take(64 * MiB)  # the same addresses, empty
    assert again is first and not np.frombuffer(again, np.uint8).any()
    assert not np.shares_memory(np.frombuffer(first, np.uint8), np.frombuffer(second, np.uint8))


def test_arrays_where_no_arena_can_be_had() -> None:
    """Under a limit on addresses the arrays are NumPy's own; see also test_cores.py."""
    pool = memory._Pool(memory.Arena(), limit=10 * MiB)
    pool.arena.size = 0  # as where there is a limit
    for size in (64, MiB):
        taken = np.frombuffer(pool.take(size), np.uint8)
        assert len(taken) == size and address(taken) % memory.ALIGNMENT == 0
        assert not memory.is_shared(taken) and pool.arena.offset(taken) is None
    pool.give(block(20 * MiB))
    assert pool.free_bytes == 0


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
