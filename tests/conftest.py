"""What every test gets: a device, a seed, and a check that it left the engine as it found it."""

from __future__ import annotations

import os
import random
import signal
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import autograd, backend
from tests.kernels.cuda_double import cuda, gpu, installed, libcublas, library, package  # noqa: F401

# Where an array can really be allocated. The op table runs on these, and on the double of a GPU in
# tests/kernels/test_cuda_ops.py.
DEVICES = ["cpu", "cuda"] if mg.cuda.is_available() else ["cpu"]
# A test of a GPU alone, or of its double where there is none.
on_cuda = pytest.mark.parametrize("device", ["cuda"], indirect=True)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The GPU's tests first, and marked in a report as such, of how many: `bench/gpu.sh` has little
    time, and says whether it reached them all."""
    on_gpu = [item for item in items if _on_gpu(item)]
    for item in on_gpu:
        item.user_properties.append(("of the GPU's", str(len(on_gpu))))
    items.sort(key=lambda item: not _on_gpu(item))


def _on_gpu(item: pytest.Item) -> bool:
    parameters: dict[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
    return "cuda" in DEVICES and parameters.get("device") == "cuda"


@pytest.fixture(params=["cpu", "cuda"])
def device(request: pytest.FixtureRequest) -> str:
    """Every device; where there is no GPU, its double (tests/kernels/cuda_double.py)."""
    if request.param not in DEVICES:
        request.getfixturevalue("gpu")
    return request.param


def no_waiting() -> AbstractContextManager[Any]:
    """Inside, what would wait for the GPU raises an error. Only the double can tell."""
    return getattr(backend.cupy(), "no_waiting", nullcontext)()


def waiting() -> AbstractContextManager[Any]:
    """Inside, one may wait again."""
    return getattr(backend.cupy(), "waiting", nullcontext)()


@pytest.fixture(autouse=True)
def sealed() -> Iterator[None]:
    """Seed before the test; after it, demand that no switch was left turned."""
    seed, generator = mg.initial_seed(), mg.get_rng_state()
    mg.manual_seed(0)
    before = _switches()
    yield
    after = _switches()
    autograd._mode.__dict__.clear()
    if after["threads"] != before["threads"]:
        mg.set_num_threads(before["threads"])
    mg.manual_seed(seed)
    mg.set_rng_state(generator)
    assert after == before, "the test changed the state of the process and did not restore it"


def _switches() -> dict[str, Any]:
    """Global state that outlives a test; the engine draws from generators of its own alone."""
    return {
        "grad mode": mg.is_grad_enabled(),
        "anomaly mode": getattr(autograd._mode, "detect_anomaly", False),
        "threads": mg.get_num_threads(),
        "float32": (mg.get_float32_matmul_precision(), mg.backends.cudnn.allow_tf32),
        "NumPy's global generator": _numpy_state(),
        "Python's global generator": hash(random.getstate()),
    }


def _numpy_state() -> tuple[bytes, int]:
    _, words, position, *_ = np.random.get_state()  # noqa: NPY002 - looked at, not used
    return words.tobytes(), position


@pytest.fixture
def in_child() -> Callable[[Callable[[], object]], None]:
    """Run a function in a forked child process, and fail if it fails there or never ends."""

    def run(function: Callable[[], object]) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # forking beside threads: the point
            child = os.fork()
        if child == 0:
            code = 1
            try:
                function()
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        deadline = time.monotonic() + 240
        while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0):
            if time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                pytest.fail("the child hangs")
            time.sleep(0.005)
        assert os.waitstatus_to_exitcode(ended[1]) == 0, "the child failed: see its traceback"

    return run
