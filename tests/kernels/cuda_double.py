"""NumPy in CuPy's place, and g++ in the GPU's: what lets `device="cuda"` run on a CPU.

It can show that indices, shapes, dtypes and arguments are right, that nothing crosses from one
device to the other unasked, and that nothing waits. It cannot show that CuPy does what NumPy does
under the same name, that work on several streams is in order, or what a GPU does with memory. See
`cuda_arrays.py` for the arrays, streams and graphs, and `cuda_shim.h` for how a kernel runs.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import math
import shutil
import subprocess
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minigrad import backend, kernels
from tests.kernels import cuda_arrays as on_gpu
from tests.kernels.cuda_arrays import Block, Device, Stream, call, ndarray, wait

PACKAGE = "minigrad.kernels.cuda"


class Double(types.ModuleType):
    """What is used of CuPy: NumPy where both mean the same, the shim for launches."""

    ndarray = ndarray
    no_waiting = staticmethod(on_gpu.no_waiting)
    waiting = staticmethod(on_gpu.waiting)

    def __init__(self) -> None:
        super().__init__("cupy")
        self.library: ctypes.CDLL | None = None
        self.largest_grid = 2**31 - 1
        self.pool = on_gpu.MemoryPool()
        self.cuda = types.SimpleNamespace(
            Device=Device, Event=on_gpu.Event, Graph=on_gpu.Graph, Stream=Stream,
            MemoryPool=on_gpu.MemoryPool, alloc=alloc,
            get_current_stream=lambda: Stream.current, is_available=lambda: True,
            get_elapsed_time=lambda start, stop: 1000 * (stop.time - start.time),
            using_allocator=lambda malloc: Device(),
            runtime=types.SimpleNamespace(
                getDeviceCount=lambda: 1, getDevice=lambda: 0,
                getDeviceProperties=lambda index: dict(on_gpu.PROPERTIES),
                runtimeGetVersion=lambda: 13020,
                deviceSynchronize=lambda: wait("deviceSynchronize()"),
            ),
        )  # fmt: skip
        self.linalg = Functions(np.linalg)
        self.lib = types.SimpleNamespace(stride_tricks=Functions(np.lib.stride_tricks))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return on_device(getattr(np, name))

    def get_default_memory_pool(self) -> on_gpu.MemoryPool:
        return self.pool

    def empty(self, shape: int | tuple[int, ...], dtype: Any = float, order: str = "C") -> ndarray:
        """Memory full of NaN, between guards that are NaN too."""
        return ndarray(on_gpu.allocate(shape, dtype))

    def empty_like(self, array: ndarray, dtype: Any = None) -> ndarray:
        return self.empty(array.shape, dtype or array.dtype)

    def array(self, x: Any, dtype: Any = None, copy: bool = True, order: str = "K") -> ndarray:
        if isinstance(x, ndarray):
            return call(np.array, x, dtype, copy=copy or None, order=order)
        if isinstance(x, (list, tuple)) and any(on_gpu.arrays_in(x)):
            return call(np.array, x, dtype)
        return on_gpu.from_host(np.array(x, dtype))

    def asarray(self, x: Any, dtype: Any = None) -> ndarray:
        return self.array(x, dtype, copy=False)

    def ascontiguousarray(self, array: ndarray) -> ndarray:
        return array if array.flags.c_contiguous else call(np.copy, array, "C")

    @staticmethod
    def asnumpy(array: ndarray) -> np.ndarray:
        return array.get()

    def argsort(self, array: ndarray, axis: int = -1, kind: str = "stable") -> ndarray:
        return call(np.argsort, array, axis, kind=kind)

    def sort(self, array: ndarray, axis: int = -1, kind: str = "stable") -> ndarray:
        return call(np.sort, array, axis, kind=kind)

    def where(self, condition: Any, *choices: Any) -> Any:
        return call(np.where, condition, *choices) if choices else condition.nonzero()

    def unique(self, *args: Any, **options: Any) -> Any:
        wait("unique()")
        return call(np.unique, *args, **options)

    def array_equal(self, a: Any, b: Any, **options: Any) -> Any:
        return call(lambda *ab: np.asarray(np.array_equal(*ab, **options)), a, b)

    def RawModule(self, code: str, name_expressions: list[str], **options: Any) -> object:
        names = {name: functools.partial(self.run, name) for name in name_expressions}
        return types.SimpleNamespace(get_function=names.__getitem__)

    @contextmanager
    def last_block_only(self) -> Iterator[None]:
        """Inside, of a launch of many blocks only the last runs: for arrays too large to walk."""
        assert self.library is not None
        most = ctypes.c_uint.in_dll(self.library, "most_blocks")
        most.value, before = 1000, most.value
        try:
            yield
        finally:
            most.value = before

    def run(self, name: str, grid: tuple, block: tuple, args: tuple) -> None:
        """A launch, with the arguments laid out as CuPy would."""
        assert self.library is not None
        assert math.prod(block) <= 256 and min(grid + block) >= 1
        places, values = [], []
        for i, arg in enumerate(args):
            kind, value = self.as_c(arg)
            wanted = self.library.parameter_kind(name.encode(), i)
            null = arg is None and wanted < 0
            assert null or kind == wanted, f"{name}: argument {i} is of kind {kind}, not {wanted}"
            places.append(ctypes.addressof(value))
            values.append(value)
        assert self.library.parameter_kind(name.encode(), len(args)) == 0, f"{name}: too few"
        gx, gy = (min(blocks, self.largest_grid) for blocks in (*grid, 1)[:2])
        bx, by = (*block, 1)[:2]
        pointers = (ctypes.c_void_p * len(places))(*places)
        arrays = [arg for arg in args if isinstance(arg, ndarray)]
        blocks = [Block.of(array.host) for array in arrays]
        if any(has_pointers(arg) for arg in args):  # they may lead anywhere
            blocks = list(Block.alive.values())
            arrays = [ndarray(block[Block.GUARD : -Block.GUARD]) for block in blocks]

        def work() -> None:
            values  # the pointers lead into these  # noqa: B018
            assert self.library.launch(name.encode(), gx, gy, bx, by, pointers), f"{name}: barrier"
            for memory in blocks:
                assert memory is None or memory.intact(), f"{name} wrote beside its arrays"

        on_gpu.launch(work, arrays)

    @staticmethod
    def as_c(arg: Any) -> tuple[int, Any]:
        """(kind, value) of an argument; see `struct Kernel` in the shim for the kinds."""
        if isinstance(arg, np.ndarray) and arg.dtype.names:  # a struct, by value
            return arg.nbytes, ctypes.create_string_buffer(arg.tobytes(), arg.nbytes)
        if isinstance(arg, ndarray):
            assert arg.flags.c_contiguous
            return -arg.itemsize, ctypes.c_void_p(arg.data.ptr)
        if type(arg) is int:
            return 8, ctypes.c_longlong(arg)
        if type(arg) is float:
            return ord("d"), ctypes.c_double(arg)
        assert arg is None, f"a kernel cannot take {arg!r}"
        return 0, ctypes.c_void_p(None)


def has_pointers(arg: Any) -> bool:
    """Whether the elements of an array, or the members of a struct, are pointers."""
    return isinstance(arg, (ndarray, np.ndarray)) and any(
        dtype.base == np.uint64 for dtype, *_ in (arg.dtype.fields or {"": [arg.dtype]}).values()
    )


class Functions:
    """The functions of a module, on the device."""

    def __init__(self, module: Any) -> None:
        self.module = module

    def __getattr__(self, name: str) -> Any:
        return on_device(getattr(self.module, name))


def on_device(value: Any) -> Any:
    """NumPy's function, for the device's arrays; its types and constants as they are."""
    if not callable(value) or isinstance(value, type):
        return value
    by_cublas = value in (np.matmul, np.dot, np.tensordot, np.einsum, np.linalg.svd)

    @functools.wraps(value, updated=())
    def function(*args: Any, **options: Any) -> Any:
        if by_cublas:
            on_gpu.refuse_while_capturing("CuPy's call of cuBLAS")
        return call(value, *args, **options)

    return function


def erfc(x: ndarray) -> ndarray:
    return call(lambda x: np.vectorize(math.erfc, otypes=[np.result_type(x, "f4")])(x), x)


def alloc(size: int) -> types.SimpleNamespace:
    """`cupy.cuda.alloc`: memory that begins at a multiple of 512 bytes."""
    block = np.empty(size + 512, np.uint8)
    address = block.ctypes.data
    return types.SimpleNamespace(ptr=address + -address % 512, block=block)


def use_cublas(package: types.ModuleType, path: Path) -> None:
    """Let the binding load the library at `path`; what it is asked for can be recorded."""
    cublas, multiply = package.cublas, package.cublas.gemm
    cublas._path = lambda: str(path)

    def gemm(a: ndarray, b: ndarray, out: ndarray, *args: Any, **options: Any) -> None:
        def work() -> None:
            multiply(a, b, out, *args, **options)
            block = Block.of(out.host)
            assert block is None or block.intact(), "a product was written beside its array"

        on_gpu.launch(work, [out])

    cublas.gemm = gemm


def compile_for_the_cpu(source: str, names: list[str], folder: Path) -> ctypes.CDLL:
    """All kernels in one translation unit, compiled by g++ under the shim."""
    table = ",\n".join(f'{{"{name}", wrap(&{name})}}' for name in names)
    (folder / "all.cpp").write_text(
        f'#include "{Path(__file__).with_name("cuda_shim.h")}"\n{source}\n'
        f"std::map<std::string, Kernel> kernels = {{\n{table}\n}};\n"
    )
    command = ["g++", "-std=c++17", "-O1", "-shared", "-fPIC", "all.cpp", "-o", "all.so"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    library = ctypes.CDLL(str(folder / "all.so"))
    library.launch.restype = ctypes.c_bool
    return library


# ---------------------------------------------------------------------------------- fixtures


class Installed:
    """The double as `cupy`, with the `kernels.cuda` that was imported beside it."""

    def __init__(self) -> None:
        self.cupy = Double()
        scipy = types.ModuleType("cupyx.scipy.special")
        scipy.erfc = erfc  # type: ignore[attr-defined]
        self.modules: dict[str, Any] = {
            "cupy": self.cupy, "cupyx": types.ModuleType("cupyx"),
            "cupyx.scipy": types.ModuleType("cupyx.scipy"), "cupyx.scipy.special": scipy,
        }  # fmt: skip
        with self.in_place():
            self.package = importlib.import_module(PACKAGE)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Inside, `import cupy` gives the double, and a GPU can be used; afterwards all is as it
        was, also where there is a real one."""
        probed = backend._cuda_problem, backend._cuda_probed
        attribute = vars(kernels).pop("cuda", None)
        before = take_out()
        sys.modules.update(self.modules)
        if PACKAGE in self.modules:
            kernels.cuda = self.modules[PACKAGE]  # type: ignore[attr-defined]
        backend._cuda_problem, backend._cuda_probed = "", True
        try:
            yield
        finally:
            self.modules = take_out()
            sys.modules.update(before)
            vars(kernels).pop("cuda", None)
            if attribute is not None:
                kernels.cuda = attribute  # type: ignore[attr-defined]
            backend._cuda_problem, backend._cuda_probed = probed
            backend._generators.by_device.pop("cuda:0", None)
            Stream.null.use()


def take_out() -> dict[str, Any]:
    """Remove from Python's modules what belongs to CuPy, and return it."""
    names = [name for name in sys.modules
             if name.split(".")[0] in ("cupy", "cupyx") or name.startswith(PACKAGE)]
    return {name: sys.modules.pop(name) for name in names}


@pytest.fixture(scope="session")
def installed() -> Installed:
    return Installed()


@pytest.fixture(scope="session")
def libcublas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What stands in for cuBLAS, `cublas_double.cpp`, compiled once a session."""
    if shutil.which("g++") is None:
        pytest.skip("this machine has no g++ to compile cuBLAS's double")
    path = tmp_path_factory.mktemp("cublas") / "libcublas.so"
    source = Path(__file__).with_name("cublas_double.cpp")
    command = ["g++", "-std=c++17", "-O3", "-shared", "-fPIC", str(source), "-o", str(path)]
    subprocess.run(command, check=True)
    return path


@pytest.fixture(scope="session")
def library(
    installed: Installed, libcublas: Path, tmp_path_factory: pytest.TempPathFactory
) -> ctypes.CDLL:
    """All sources in one translation unit, compiled by g++ under the shim: once a session."""
    if shutil.which("g++") is None:
        pytest.skip("this machine has no g++ to compile the kernels for the CPU")
    use_cublas(installed.package, libcublas)
    module = installed.package.module
    folder = tmp_path_factory.mktemp("cuda")
    installed.cupy.library = compile_for_the_cpu(module.source(), module.name_expressions(), folder)
    return installed.cupy.library


@pytest.fixture
def gpu(installed: Installed, library: ctypes.CDLL) -> Iterator[Double]:
    """A GPU, as far as a test without one can tell: `mg.tensor(x, device="cuda")` works."""
    with installed.in_place():
        yield installed.cupy


class OnHost:
    """`kernels.cuda` for NumPy arrays: they are lent to the device where they lie, and so an update
    in place reaches them."""

    def __init__(self, package: types.ModuleType) -> None:
        self.package = package

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.package, name)
        if isinstance(value, types.ModuleType) or not callable(value):
            return value
        return lambda *args, **options: borrowed(value(
            *map(lent, args), **{name: lent(arg) for name, arg in options.items()}
        ))


def lent(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return type(value)(map(lent, value))
    return ndarray(value) if isinstance(value, np.ndarray) else value


def borrowed(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return type(value)(map(borrowed, value))
    return value.host if isinstance(value, ndarray) else value


@pytest.fixture
def package(installed: Installed) -> Iterator[types.ModuleType]:
    """`kernels.cuda`, imported with the double for CuPy."""
    with installed.in_place():
        yield installed.package


@pytest.fixture
def cuda(gpu: Double, installed: Installed) -> OnHost:
    """`kernels.cuda`, whose kernels run, taking and giving NumPy arrays."""
    return OnHost(installed.package)
