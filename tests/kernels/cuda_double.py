"""NumPy in CuPy's place, and g++ in the GPU's: what lets `kernels.cuda` run on a CPU.

It can show that indices, shapes, dtypes and arguments are right. It cannot show that CuPy does what
NumPy does under the same name, and it knows no streams. See `cuda_shim.h` for how a kernel runs.
"""

from __future__ import annotations

import ctypes
import functools
import math
import subprocess
import types
from pathlib import Path
from typing import Any

import numpy as np


class Double(types.ModuleType):
    """What `kernels.cuda` uses of CuPy: NumPy where both mean the same, the shim for launches."""

    GUARD = 64  # bytes on either side of an array that must stay as they are

    def __init__(self) -> None:
        super().__init__("cupy")
        self.library: ctypes.CDLL | None = None
        self.blocks: list[np.ndarray] = []
        self.largest_grid = 2**31 - 1
        self.stream = types.SimpleNamespace(ptr=0)
        self.cuda = types.SimpleNamespace(
            runtime=types.SimpleNamespace(getDevice=lambda: 0),
            Device=lambda: types.SimpleNamespace(compute_capability="90"),
            get_current_stream=lambda: self.stream,
            alloc=self.alloc,
        )

    def __getattr__(self, name: str) -> object:
        return getattr(np, name)

    def empty(self, shape: int | tuple[int, ...], dtype: Any) -> np.ndarray:
        """Memory full of NaN, between guards that are NaN too."""
        shape, dtype = (shape,) if isinstance(shape, int) else shape, np.dtype(dtype)
        block = np.full(math.prod(shape) * dtype.itemsize + 2 * self.GUARD, 0xFF, np.uint8)
        self.blocks.append(block)
        return block[self.GUARD : -self.GUARD].view(dtype).reshape(shape)

    def alloc(self, size: int) -> object:
        """Memory as CuPy's pool gives it: 512 bytes and their multiples."""
        block = np.empty(size + 512, np.uint8)
        address = block.ctypes.data
        return types.SimpleNamespace(ptr=address + -address % 512, block=block)

    def ascontiguousarray(self, array: np.ndarray) -> np.ndarray:
        """A copy in such memory, so that reading beside it gives NaN."""
        out = self.empty(array.shape, array.dtype)
        out[...] = array
        return out

    def argsort(self, array: np.ndarray) -> np.ndarray:
        return np.argsort(array, kind="stable")

    def RawModule(self, code: str, name_expressions: list[str]) -> object:
        kernels = {name: functools.partial(self.run, name) for name in name_expressions}
        return types.SimpleNamespace(get_function=kernels.__getitem__)

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
        assert self.library.launch(name.encode(), gx, gy, bx, by, pointers), f"{name}: a barrier"
        for memory in self.blocks:
            edges = np.concatenate([memory[: self.GUARD], memory[-self.GUARD :]])
            assert (edges == 0xFF).all(), f"{name} wrote beside its arrays"

    @staticmethod
    def as_c(arg: Any) -> tuple[int, Any]:
        """(kind, value) of an argument; see `struct Kernel` in the shim for the kinds."""
        if isinstance(arg, np.ndarray) and arg.dtype.names:  # a struct, by value
            return arg.nbytes, ctypes.create_string_buffer(arg.tobytes(), arg.nbytes)
        if isinstance(arg, np.ndarray):
            assert arg.flags.c_contiguous
            return -arg.itemsize, ctypes.c_void_p(arg.ctypes.data)
        if type(arg) is int:
            return 8, ctypes.c_longlong(arg)
        if type(arg) is float:
            return ord("d"), ctypes.c_double(arg)
        assert arg is None, f"a kernel cannot take {arg!r}"
        return 0, ctypes.c_void_p(None)


def compile_cublas(folder: Path) -> Path:
    """What stands in for libcublas: `cublas_double.cpp`."""
    library = folder / "libcublas.so"
    source = Path(__file__).with_name("cublas_double.cpp")
    command = ["g++", "-std=c++17", "-O3", "-shared", "-fPIC", str(source), "-o", str(library)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return library


def use_cublas(package: types.ModuleType, library: Path) -> None:
    """Let `kernels.cuda` load that library, and hand it the addresses of NumPy's arrays."""
    package.cublas._path = lambda: str(library)
    package.cublas._address = lambda array: array.ctypes.data


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
