"""Each cause for which a GPU cannot be used, simulated: one line names it and says what to type."""

from __future__ import annotations

import ctypes
import importlib.metadata
import sys
import types

import pytest

import minigrad as mg
from alexnet import environment, info
from alexnet.__main__ import main
from minigrad import backend
from minigrad.cuda import diagnose
from minigrad.cuda.diagnose import Driver, explain

H100 = ("NVIDIA H100", (9, 0))
GOOD = Driver((13, 0), 0, (H100,))
TOO_OLD = "cudaErrorInsufficientDriver: CUDA driver version is insufficient"  # whatever the cause
IMPORT_ERROR = """
================================================================
Failed to import CuPy.

Original error:
  ImportError: libcudart.so.13: cannot open shared object file
================================================================
"""


class Failing(types.ModuleType):
    """A CuPy that fails when it is asked for an array."""

    ndarray = type("ndarray", (), {})

    def __init__(self, error: Exception) -> None:
        super().__init__("cupy")
        self.error = error

    def ones(self, size: int) -> None:
        raise self.error


@pytest.fixture
def machine(monkeypatch):
    """A machine with such a CuPy, such wheels and such a driver."""

    def make(cupy=None, wheels=("cupy-cuda13x",), driver=GOOD):
        monkeypatch.setattr(backend, "_cuda_probed", False)
        monkeypatch.setattr(backend, "_cuda_problem", None)
        monkeypatch.setitem(sys.modules, "cupy", Failing(cupy) if cupy else None)
        monkeypatch.setattr(diagnose, "wheels", lambda: list(wheels))
        monkeypatch.setattr(diagnose, "driver", lambda: driver)

    return make


KEPLER, PASCAL = ("Tesla K80", (3, 7)), ("Tesla P100", (6, 0))
CAUSES = {  # what CuPy raises, wheels, driver -> what is said, what is to be typed
    "CuPy missing": (
        None, (), GOOD, "CuPy is not installed", "pip install 'minigrad[cuda13x]'",
    ),
    "CuPy missing, an old driver": (
        None, (), Driver((12, 4), 0, (H100,)), "CuPy is not", "pip install 'minigrad[cuda12x]'",
    ),
    "CuPy missing, no driver": (
        None, (), None, "CuPy is not", "'minigrad[cuda13x]' (CUDA 13) or 'minigrad[cuda12x]'",
    ),
    "two wheels": (
        ImportError("anything"), ("cupy-cuda12x", "cupy-cuda13x"), GOOD,
        "2 CuPy wheels are installed, which overwrite each other's files (cupy-cuda12x and cupy-",
        "pip uninstall -y cupy-cuda12x cupy-cuda13x; then pip install 'minigrad[cuda13x]'",
    ),
    "a broken wheel": (
        ImportError(IMPORT_ERROR), ("cupy-cuda13x",), GOOD,
        "does not import (ImportError: libcudart.so.13: cannot open shared object file)",
        "pip install 'cupy-cuda13x[ctk]'",
    ),
    "no driver": (
        RuntimeError(TOO_OLD), ("cupy-cuda13x",), None,
        f"there is no NVIDIA driver ({diagnose.LIBRARY} is not found)", "nvidia-smi lists a GPU",
    ),
    "driver too old": (
        RuntimeError(TOO_OLD), ("cupy-cuda13x",), Driver((12, 4), 0, (H100,)),
        "too old: it runs CUDA 12.4, and cupy-cuda13x needs 13",
        "update it, or pip uninstall -y cupy-cuda13x; pip install 'minigrad[cuda12x]'",
    ),
    "no GPU": (
        RuntimeError(TOO_OLD), ("cupy-cuda13x",), Driver((13, 0), diagnose.NO_DEVICE),
        "the NVIDIA driver sees no GPU", "CUDA_VISIBLE_DEVICES",
    ),
    "the driver fails": (
        RuntimeError(TOO_OLD), ("cupy-cuda13x",), Driver((13, 0), 803),
        "does not start (CUDA error 803)", "reboot",
    ),
    "capability too low for CUDA 13": (
        RuntimeError("nvrtc: error: invalid value for --gpu-architecture (-arch)"),
        ("cupy-cuda13x",), Driver((13, 0), 0, (PASCAL,)),
        "too low (Tesla P100: 6.0): CUDA 13 needs 7.5", "pip install 'minigrad[cuda12x]'",
    ),
    "capability too low for all": (
        RuntimeError("no kernel image"), ("cupy-cuda12x",), Driver((12, 4), 0, (KEPLER,)),
        "too low (Tesla K80: 3.7): CUDA 12 needs 5.0", "5.0: or use --device cpu",
    ),
    "memory full": (
        MemoryError("Out of memory allocating 512 bytes"), ("cupy-cuda13x",), GOOD,
        "the GPU's memory is full (Out of memory allocating 512 bytes)", "nvidia-smi shows who",
    ),
    "headers missing": (
        RuntimeError("Failed to find CUDA headers"), ("cupy-cuda13x",), GOOD,
        "the CUDA headers are missing", "pip install 'cupy-cuda13x[ctk]', or set CUDA_PATH",
    ),
    "a library missing": (
        RuntimeError('Failure finding "libnvrtc.so.13"'), ("cupy-cuda13x",), GOOD,
        "a CUDA library is missing", "pip install 'cupy-cuda13x[ctk]'",
    ),
    "something else": (
        RuntimeError(""), (), GOOD,
        "CuPy cannot use the GPU (NVIDIA H100; RuntimeError)", "pip install 'cupy-cuda13x[ctk]'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("cause", CAUSES.values(), ids=CAUSES)
def test_each_cause_is_one_line_wherever_it_is_met(cause, machine, capsys):
    cupy, wheels, driver, said, typed = cause
    machine(cupy, wheels, driver)
    problem = backend.cuda_problem()
    assert said in problem and typed in problem and "\n" not in problem
    assert not mg.cuda.is_available()
    with pytest.raises(RuntimeError) as raised:
        mg.ones(2).to("cuda")
    assert str(raised.value) == problem
    assert info.gpu() == f"none: {problem}"
    assert environment.choose_device("auto")[1] == f"cpu ({problem})"
    assert main(["summary", "lenet5", "--no-time", "--device", "cuda"]) == 2
    assert capsys.readouterr().err == f"alexnet: --device cuda: {problem}\n"


def test_without_a_cause_there_is_no_diagnosis():
    assert diagnose.no_gpu(GOOD, 13) == diagnose.no_gpu(GOOD, None) == ""
    two = Driver((13, 0), 0, (KEPLER, H100))
    assert diagnose.no_gpu(two, 13) == ""  # one that is good enough will do


class Library:
    """libcuda, with these answers."""

    def __init__(self, version: int, status: int = 0, gpus=()) -> None:
        self.version, self.status, self.gpus = version, status, gpus

    def cuDriverGetVersion(self, number) -> int:
        number._obj.value = self.version
        return 0

    def cuInit(self, flags: int) -> int:
        return self.status

    def cuDeviceGetCount(self, number) -> int:
        number._obj.value = len(self.gpus)
        return 0

    def cuDeviceGetName(self, name, size: int, gpu: int) -> int:
        name.value = self.gpus[gpu][0].encode()
        return 0

    def cuDeviceGetAttribute(self, number, attribute: int, gpu: int) -> int:
        number._obj.value = dict(zip((75, 76), self.gpus[gpu][1], strict=True))[attribute]
        return 0


def test_what_the_driver_is_asked(monkeypatch):
    for library, known in (
        (Library(13000, gpus=[KEPLER, H100]), Driver((13, 0), 0, (KEPLER, H100))),
        (Library(12040, 100), Driver((12, 4), 100)),
    ):
        monkeypatch.setattr(ctypes, "CDLL", lambda name, library=library: library)
        assert diagnose.driver() == known

    def missing(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert diagnose.driver() is None


def test_wheels_are_found_by_name(monkeypatch):
    names = ["numpy", "CuPy-CUDA12x", "cupy-cuda13x", "cupyx", "cupy-xarray", None, "cupy"]
    distributions = [types.SimpleNamespace(name=name) for name in names]
    monkeypatch.setattr(importlib.metadata, "distributions", lambda: distributions)
    assert diagnose.wheels() == ["cupy", "cupy-cuda12x", "cupy-cuda13x"]
    assert diagnose.cuda_of(["cupy-cuda12x"]) == 12 and diagnose.cuda_of(["cupy"]) is None


def test_a_usable_gpu_is_described(monkeypatch):
    runtime = types.SimpleNamespace(runtimeGetVersion=lambda: 13020)
    cupy = types.SimpleNamespace(cuda=types.SimpleNamespace(runtime=runtime))
    monkeypatch.setattr(backend, "cuda_problem", lambda: "")
    monkeypatch.setattr(backend, "cupy", lambda: cupy)
    monkeypatch.setattr(mg.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(mg.cuda, "get_device_name", lambda device: "NVIDIA H100")
    monkeypatch.setattr(diagnose, "driver", lambda: GOOD)
    monkeypatch.setattr(diagnose, "wheels", lambda: ["cupy-cuda13x"])
    usual = "cuda:0 NVIDIA H100; driver for CUDA up to 13.0, CuPy's CUDA 13.2"
    assert info.gpu() == usual
    monkeypatch.setattr(diagnose, "wheels", lambda: ["cupy-cuda12x", "cupy-cuda13x"])
    assert info.gpu() == f"{usual}; cupy-cuda12x and cupy-cuda13x overwrite each other: keep one"


def test_a_wheel_that_is_named_like_the_module_error_is_not_missing():
    """CuPy is there, and something that it imports is not."""
    line = explain(ModuleNotFoundError("No module named 'ml_dtypes'", name="ml_dtypes"))
    assert line.startswith("CuPy is installed but does not import (No module named 'ml_dtypes')")


def test_a_batch_that_does_not_fit_into_the_gpu_is_one_line(capsys, monkeypatch):
    def full(*_: object) -> None:
        raise MemoryError("Out of memory allocating 1,024 bytes")  # CuPy's is a MemoryError, too

    monkeypatch.setattr("alexnet.summary.command", full)
    assert main(["summary", "lenet5"]) == 1
    line = capsys.readouterr().err
    assert line == (
        "alexnet: Out of memory allocating 1,024 bytes: a smaller --batch-size takes less\n"
    )
