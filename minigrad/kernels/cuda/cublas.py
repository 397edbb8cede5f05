"""Matrix products by cuBLAS, called directly: `gemm` multiplies views where they lie.

CuPy's own calls of cuBLAS do less than is needed here: they refuse to work while a stream records
a graph, their batched product copies transposed operands and uses no tensor cores, and none takes
a leading dimension or adds to what is there. So this is a binding of its own, with a handle, a
stream and a workspace of its own. Nothing here waits for the GPU.

cuBLAS reads a matrix down its columns. Our rows are its columns: it takes C-contiguous memory for
the transpose, and out' = b' a' is asked for. The numbers below are those of `cublas_api.h` and
`library_types.h`. Read `matmul.py` next, which cuts N-d products into calls of `gemm`.
"""

from __future__ import annotations

import ctypes
import threading
from ctypes import c_int, c_int64, c_longlong, c_size_t, c_void_p
from functools import cache, lru_cache
from typing import Any, NamedTuple

import cupy

TYPES = {"float32": 0, "float64": 1, "float16": 2, "bfloat16": 14}  # cudaDataType
COMPUTE_32F, COMPUTE_64F, COMPUTE_32F_FAST_TF32 = 68, 70, 77  # cublasComputeType_t
NORMAL, TRANSPOSED = 0, 1  # cublasOperation_t
# cublasMath_t: at least the precision asked for, and float16's partial sums are float32, too.
DEFAULT_MATH, DISALLOW_REDUCED_PRECISION_REDUCTION = 0, 16
DEFAULT_ALGORITHM = -1  # cublasGemmAlgo_t
SCALARS = {
    COMPUTE_32F: (ctypes.c_float(0), ctypes.c_float(1)),
    COMPUTE_32F_FAST_TF32: (ctypes.c_float(0), ctypes.c_float(1)),
    COMPUTE_64F: (ctypes.c_double(0), ctypes.c_double(1)),
}
WORKSPACE, WORKSPACE_HOPPER = 4 << 20, 32 << 20  # bytes, as the cuBLAS manual recommends


def gemm(a: Any, b: Any, out: Any, accumulate: bool = False, tf32: bool = False) -> None:
    """out = a b, or out += a b: (..., M, K) times (..., K, P) into (..., M, P), by one call.

    All three are views with two axes, or with a third before them, the batch; a or b may do
    without, and is then the same for the whole batch. `fits` says which views are taken: of the
    last two strides one is the size of an element and the other at least a row. The batch's stride
    is free but for its sign; for a and b it may be 0, or less than a matrix. `out` must not overlap
    a or b.

    dtypes: float32, float64, float16 and bfloat16, one for a and b; out has the same, or float32
    where theirs has 16 bits. The sums are float32, or float64 for float64. `tf32` rounds float32
    operands to 10 bits of mantissa, for tensor cores.

    The first product of a thread makes cuBLAS's handle: run one before a capture. The first on a
    stream takes its workspace from CuPy's allocator, which a capture permits.

    Raises:
        ValueError: shapes do not fit, or a view's strides are not such; says which view and why.
        TypeError: the dtypes are not such.
        RuntimeError: cuBLAS is missing or fails; gives its own name for the error.
    """
    views = [(x.shape, x.strides, x.dtype) for x in (a, b, out)]
    plan = _plan(*views, accumulate, tf32)
    if plan == "zeros":
        out.fill(0)
    elif isinstance(plan, _Plan):
        first, second = (b, a) if plan.swapped else (a, b)
        _call(
            plan.function, _handle().on_the_current_stream(), *plan.head,
            _address(first), *plan.first, _address(second), *plan.second, plan.beta,
            _address(out), *plan.out, *plan.tail,
        )  # fmt: skip


def fits(view: Any) -> bool:
    """Whether `gemm` takes these matrices as they lie; any number of axes may come before them."""
    return not isinstance(_layout(view.shape, view.strides, view.dtype.itemsize), str)


class _Plan(NamedTuple):
    """A call of cuBLAS without its handle and addresses; it is the same for the same views."""

    function: Any
    swapped: bool  # b comes first
    head: tuple[int, ...]  # operations, sizes, the address of alpha
    first: tuple[int, ...]  # a matrix: type, leading dimension and, in a batch, stride
    second: tuple[int, ...]
    beta: int  # its address
    out: tuple[int, ...]
    tail: tuple[int, ...]


View = tuple[tuple[int, ...], tuple[int, ...], Any]  # shape, strides, dtype


@lru_cache(4096)
def _plan(a: View, b: View, out: View, accumulate: bool, tf32: bool) -> _Plan | str:
    """How to multiply such views; "zeros" where only these are to be written, "nothing"."""
    batch, m, k, p = _sizes(a[0], b[0], out[0])
    types, compute = _types(a[2].name, b[2].name, out[2].name, tf32)
    if not batch * m * p:
        return "nothing"
    if not k:
        return "nothing" if accumulate else "zeros"
    layouts = []
    for name, (shape, strides, dtype) in (("a", a), ("b", b), ("out", out)):
        layout = _layout(shape, strides, dtype.itemsize)
        if isinstance(layout, str):
            raise ValueError(
                f"[gemm] {name}, of shape {shape}, cannot be multiplied as it lies: {layout}; "
                "take a contiguous copy"
            )
        layouts.append(layout)
    if batch > 1 and not layouts[2].stride:
        raise ValueError("[gemm] the matrices of out lie upon each other: its batch stride is 0")
    by_rows = layouts[2].by_rows
    order, sizes = ((1, 0), (p, m, k)) if by_rows else ((0, 1), (m, p, k))  # out' = b' a', or out
    operations = [NORMAL if layouts[i].by_rows == by_rows else TRANSPOSED for i in order]
    first, second, third = (
        (types[i], layouts[i].leading, *([layouts[i].stride] if batch > 1 else []))
        for i in (*order, 2)
    )
    zero, one = map(ctypes.addressof, SCALARS[compute])
    wide = max(*sizes, batch, *(layout.leading for layout in layouts)) >= 2**31
    return _Plan(
        _product(batch > 1, wide), by_rows, (*operations, *sizes, one), first, second,
        one if accumulate else zero, third,
        (*([batch] if batch > 1 else []), compute, DEFAULT_ALGORITHM),
    )  # fmt: skip


class _Layout(NamedTuple):
    """How a matrix, or each of a batch, lies in memory; all in elements."""

    by_rows: bool  # whether a row is contiguous, or else a column
    leading: int  # from one row (or column) to the next
    stride: int  # from one matrix to the next


def _layout(shape: tuple[int, ...], strides: tuple[int, ...], size: int) -> _Layout | str:
    """The layout, or why cuBLAS knows none for this view. An axis of size 1 has any stride."""
    rows, columns = shape[-2:]
    row, column = (stride // size for stride in strides[-2:])
    stride = strides[0] // size if len(shape) == 3 and shape[0] > 1 else 0
    if any(step < 0 for step in strides[:-2]):
        return f"its batch runs backward, by {strides[:-2]} bytes"
    if (columns <= 1 or column == 1) and (rows <= 1 or row >= columns):
        return _Layout(True, row if rows > 1 else max(columns, 1), stride)
    if (rows <= 1 or row == 1) and (columns <= 1 or column >= rows):
        return _Layout(False, column if columns > 1 else max(rows, 1), stride)
    if 1 not in (row, column):
        return f"neither of its last two strides, {strides[-2:]}, is an element's {size} bytes"
    length = columns if column == 1 else rows
    return f"its last two strides, {strides[-2:]}, step by less than {length} elements"


def _sizes(a: tuple[int, ...], b: tuple[int, ...], out: tuple[int, ...]) -> tuple[int, ...]:
    """(batch, M, K, P) of these shapes."""
    fine = min(len(a), len(b)) >= 2 and max(len(a), len(b)) <= len(out) <= 3
    fine = fine and a[-1] == b[-2] and out[-2:] == (a[-2], b[-1])
    if not fine or any(shape[:-2] not in ((), out[:-2]) for shape in (a, b)):
        raise ValueError(
            f"[gemm] a {a} times b {b} does not go into out {out}: expected (M, K), (K, P) and "
            "(M, P), or each with a batch before it, which a or b may lack"
        )
    return (out[0] if len(out) == 3 else 1), *a[-2:], b[-1]


def _types(a: str, b: str, out: str, tf32: bool) -> tuple[list[int], int]:
    """cuBLAS's numbers for the dtypes of a, b and out, and for how to compute."""
    if a not in TYPES or a != b or out not in ((a, "float32") if a.endswith("16") else (a,)):
        raise TypeError(
            f"[gemm] cannot multiply {a} by {b} into {out}: expected one dtype of "
            f"{', '.join(TYPES)}; out may be float32 where the others have 16 bits"
        )
    compute = COMPUTE_32F_FAST_TF32 if tf32 and a == "float32" else COMPUTE_32F
    return [TYPES[name] for name in (a, b, out)], COMPUTE_64F if a == "float64" else compute


def _address(array: Any) -> int:
    return array.data.ptr


# ----------------------------------------------------------------------------------- the library


class _Handle:
    """What cuBLAS keeps of one device in one thread: a stream, and a workspace for each stream.

    A stream has a workspace of its own, for two streams may compute at once, and it keeps it, for
    a recorded graph holds its address. Without one, cuBLAS would allocate for each graph. Handles
    live as long as the process: when it ends, the GPU may be gone before them.
    """

    def __init__(self) -> None:
        self.pointer, self.stream, self.workspaces = c_void_p(), None, dict[int, Any]()
        capability = int(cupy.cuda.Device().compute_capability)  # 90 is Hopper
        self.workspace_bytes = WORKSPACE_HOPPER if capability >= 90 else WORKSPACE
        _call(_library().cublasCreate_v2, ctypes.byref(self.pointer))
        mode = DEFAULT_MATH | DISALLOW_REDUCED_PRECISION_REDUCTION
        _call(_library().cublasSetMathMode, self.pointer, mode)

    def on_the_current_stream(self) -> c_void_p:
        """The handle, which works on CuPy's current stream."""
        stream = cupy.cuda.get_current_stream().ptr
        if stream != self.stream:
            if stream not in self.workspaces:
                self.workspaces[stream] = cupy.cuda.alloc(self.workspace_bytes)
            memory, size = self.workspaces[stream].ptr, self.workspace_bytes
            _call(_library().cublasSetStream_v2, self.pointer, stream)  # takes its workspace away
            _call(_library().cublasSetWorkspace_v2, self.pointer, memory, size)
            self.stream = stream
        return self.pointer


_handles = threading.local()


def _handle() -> _Handle:
    device, handles = cupy.cuda.runtime.getDevice(), vars(_handles)
    if device not in handles:
        handles[device] = _Handle()
    return handles[device]


def _path() -> str:
    """The cuBLAS that CuPy loads, too: from NVIDIA's wheels, a toolkit, or where the loader looks.

    `cuda.pathfinder` comes with CuPy 14; it looks in the same places in the same order for both.
    """
    try:
        from cuda import pathfinder

        path = pathfinder.load_nvidia_dynamic_lib("cublas").abs_path
    except (ImportError, RuntimeError):
        path = None
    return path or f"libcublas.so.{cupy.cuda.runtime.runtimeGetVersion() // 1000}"


@cache
def _library() -> ctypes.CDLL:
    path = _path()
    try:
        library = ctypes.CDLL(path)
    except OSError as error:
        raise RuntimeError(
            f"cuBLAS does not load ({error}): install it with CuPy, for CUDA 13 by "
            "pip install 'cupy-cuda13x[ctk]', for CUDA 12 by pip install 'cupy-cuda12x[ctk]'"
        ) from error
    library.cublasCreate_v2.argtypes = [c_void_p]
    library.cublasSetMathMode.argtypes = [c_void_p, c_int]
    library.cublasSetStream_v2.argtypes = [c_void_p, c_void_p]
    library.cublasSetWorkspace_v2.argtypes = [c_void_p, c_void_p, c_size_t]
    library.cublasGetStatusName.restype = ctypes.c_char_p
    return library


@cache
def _product(batched: bool, wide: bool) -> Any:
    """cuBLAS's product, of one pair of matrices or of a batch, its sizes in 32 bits or in 64."""
    size = c_int64 if wide else c_int
    matrix = [c_void_p, c_int, size] + [c_longlong] * batched  # address, type, leading, stride
    name = "cublasGemmStridedBatchedEx" if batched else "cublasGemmEx"
    function = getattr(_library(), f"{name}_64" if wide else name)
    function.argtypes = [
        c_void_p, c_int, c_int, size, size, size,  # handle, operations, M, P, K
        c_void_p, *matrix, *matrix, c_void_p, *matrix,  # alpha, a, b, beta, out
        *[size] * batched, c_int, c_int,  # batch, compute type, algorithm
    ]  # fmt: skip
    return function


def _call(function: Any, *arguments: Any) -> None:
    status = function(*arguments)
    if status:
        name = _library().cublasGetStatusName(status).decode()
        raise RuntimeError(f"{function.__name__} failed: {name} ({status})")
