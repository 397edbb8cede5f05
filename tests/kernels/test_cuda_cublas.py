"""`gemm` without a GPU: what it hands to cuBLAS, judged by a libcublas of plain loops.

`cublas_double.cpp` reads its arguments as cuBLAS's manual says, and refuses what cuBLAS refuses.
It shows that views, leading dimensions, strides and types arrive; not that cuBLAS itself does the
rest. The arrays are NumPy's here: `gemm` only wants to know where they lie.
"""

from __future__ import annotations

import ctypes
import importlib.util
import sys
import threading
from itertools import product
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import minigrad

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
DTYPES = [np.dtype(name) for name in ("float32", "float64", "float16")] + [BFLOAT16]
ROUNDING = {  # of one number, relative
    "float64": 2**-53, "float32": 2**-24, "tf32": 2**-11, "float16": 2**-11, "bfloat16": 2**-8
}  # fmt: skip


@pytest.fixture
def cupy() -> SimpleNamespace:
    """What the binding asks CuPy for; a test may change it."""
    cupy = SimpleNamespace(device=0, stream=0, capability="90", allocated=[])

    def alloc(size: int) -> SimpleNamespace:
        cupy.allocated.append(size)
        return SimpleNamespace(ptr=512 * len(cupy.allocated))

    cupy.cuda = SimpleNamespace(
        runtime=SimpleNamespace(getDevice=lambda: cupy.device, runtimeGetVersion=lambda: 13000),
        Device=lambda: SimpleNamespace(compute_capability=cupy.capability),
        get_current_stream=lambda: SimpleNamespace(ptr=cupy.stream),
        alloc=alloc,
    )
    return cupy


@pytest.fixture
def unbound(cupy, monkeypatch) -> ModuleType:
    """The binding, newly imported, so that it has no handle yet."""
    path = Path(minigrad.__file__).parent / "kernels/cuda/cublas.py"
    spec = importlib.util.spec_from_file_location("cublas_under_test", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    spec.loader.exec_module(module)
    module._address = lambda array: array.ctypes.data
    return module


@pytest.fixture
def cublas(unbound, libcublas) -> ModuleType:
    unbound._path = lambda: str(libcublas)
    unbound._library().journal_so_far.restype = ctypes.c_char_p
    unbound._library().begin_journal()
    return unbound


def journal(cublas: ModuleType) -> list[str]:
    """What cuBLAS was asked for, in this thread, since the last time."""
    lines = cublas._library().journal_so_far().decode().splitlines()
    cublas._library().begin_journal()
    return lines


def numbers(shape: tuple[int, ...], dtype: Any = np.float64, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(dtype)


def places(layout: str, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """A view that lies so; NaN in and around it."""
    *batch, rows, columns = shape
    nan = np.full((*batch, rows + 2, columns + 3), np.nan, dtype)
    by_columns = np.full((*batch, columns + 3, rows + 2), np.nan, dtype).swapaxes(-1, -2)
    inside = (..., slice(1, rows + 1), slice(2, columns + 2))
    if layout == "batch within":  # the next matrix begins inside the rows of this one
        return np.full((rows, *batch, columns), np.nan, dtype).swapaxes(0, len(batch))
    return {
        "rows": np.full(shape, np.nan, dtype), "part": nan[inside], "columns": by_columns[inside]
    }[layout]  # fmt: skip


LAYOUTS = ("rows", "part", "columns")


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("batch", [(), (3,)], ids=["one", "batch"])
def test_views_are_multiplied_where_they_lie(cublas, dtype, batch):
    m, k, p = 4, 5, 3
    layouts = (*LAYOUTS, "batch within")
    for of_a, of_b, of_out in product(layouts, layouts, layouts):
        a, b = places(of_a, (*batch, m, k), dtype), places(of_b, (*batch, k, p), dtype)
        a[...], b[...] = numbers(a.shape), numbers(b.shape)
        out = places(of_out, (*batch, m, p), dtype)
        around = out if out.base is None else out.base
        cublas.gemm(a, b, out)
        want = a.astype(np.float64) @ b.astype(np.float64)
        atol = 8 * ROUNDING[dtype.name] * (1 + abs(want).max())
        np.testing.assert_allclose(out.astype(np.float64), want, rtol=0, atol=atol)
        assert np.isfinite(around.astype(np.float64)).sum() == out.size  # it wrote nowhere else
        cublas.gemm(a, b, out, accumulate=True)
        np.testing.assert_allclose(out.astype(np.float64), 2 * want, rtol=0, atol=3 * atol)
    calls = set(journal(cublas)) - {"create", "math 16", "stream 0", "workspace 512 33554432"}
    assert calls == ({"batch of 3 on 0"} if batch else {"gemm on 0"})


@pytest.mark.parametrize(("m", "k", "p"), [*product((1, 4), (1, 5), (1, 3)), (1, 1, 1)])
def test_an_axis_of_one_may_have_any_stride(cublas, m, k, p):
    def odd(shape):
        x = numbers((shape[0] * 3, shape[1] * 2))
        return x[::3, ::2] if 1 in shape else x[::3, : shape[1]]

    a, b, out = odd((m, k)), odd((k, p)), np.full((m, p), np.nan)
    for x in (a, b):  # a row, a column or a number, or else rows far apart: all can be multiplied
        assert cublas.fits(x) and cublas.fits(x.T)
    cublas.gemm(a, b, out)
    np.testing.assert_allclose(out, a @ b, rtol=1e-13, atol=1e-13)
    column_of_many = numbers((m, 7))[:, 3:4]
    cublas.gemm(column_of_many, numbers((1, p)), out)
    np.testing.assert_allclose(out, column_of_many @ numbers((1, p)))


def test_batches_may_share_a_matrix_and_overlap(cublas):
    windows = np.lib.stride_tricks.as_strided(numbers((40,)), (6, 4, 5), (16, 40, 8))
    w, out = numbers((5, 3)), np.full((6, 4, 3), np.nan)
    cublas.gemm(windows, w, out)  # no third axis: one for all
    np.testing.assert_allclose(out, windows @ w)
    cublas.gemm(windows, np.broadcast_to(w, (6, 5, 3)), out, accumulate=True)  # stride 0
    np.testing.assert_allclose(out, 2 * (windows @ w))
    backward = np.ascontiguousarray(windows)[::-1]  # a negative stride
    cublas.gemm(w.T, backward.swapaxes(1, 2), out.swapaxes(1, 2))
    np.testing.assert_allclose(out, backward @ w)
    cublas.gemm(windows[:1], w, out[:1])  # a batch of one is one
    np.testing.assert_allclose(out[0], windows[0] @ w)
    assert [line.split(" on")[0] for line in journal(cublas)[4:]] == ["batch of 6"] * 3 + ["gemm"]


def test_nothing_to_add_up_is_zero(cublas):
    out = np.full((2, 3, 4), np.nan)
    cublas.gemm(np.ones((2, 3, 0)), np.ones((0, 4)), out)
    assert not out.any()
    cublas.gemm(np.ones((2, 3, 0)), np.ones((0, 4)), out, accumulate=True)
    cublas.gemm(np.ones((2, 0, 5)), np.ones((5, 4)), np.ones((2, 0, 4)))
    cublas.gemm(np.ones((0, 3, 5)), np.ones((5, 4)), np.ones((0, 3, 4)))
    assert not out.any() and not journal(cublas)


@pytest.mark.parametrize("dtype", ["float16", BFLOAT16], ids=str)
def test_16_bits_are_summed_in_float32_and_may_stay_so(cublas, dtype):
    a, b = numbers((6, 500), dtype), numbers((500, 6), dtype)
    want = a.astype(np.float64) @ b.astype(np.float64)
    wide, narrow = np.empty((6, 6), np.float32), np.empty((6, 6), dtype)
    cublas.gemm(a, b, wide)
    cublas.gemm(a, b, narrow)
    np.testing.assert_allclose(wide, want, rtol=0, atol=1e-4)  # a sum in 16 bits: 0.01 and more
    np.testing.assert_array_equal(narrow, wide.astype(dtype))  # rounded once
    cublas.gemm(a, b, wide, accumulate=True)
    np.testing.assert_allclose(wide, 2 * want, rtol=0, atol=2e-4)


@pytest.mark.parametrize(
    ("precision", "dtype", "factor"),  # larger where adding up rounds as much as the numbers do
    [("float64", "f8", 100), ("float32", "f4", 100), ("tf32", "f4", 4), ("float16", "f2", 4),
     ("bfloat16", BFLOAT16, 4)],
)  # fmt: skip
def test_how_wrong_each_precision_is(cublas, precision, dtype, factor):
    """Against exact sums of 1024 products of normal numbers, whose own size is sqrt(1024)."""
    exact = numbers((32, 1024)), numbers((1024, 32), seed=1)
    a, b = (x.astype(dtype) for x in exact)
    out = np.empty((32, 32), np.float32 if a.itemsize == 2 else dtype)
    cublas.gemm(a, b, out, tf32=precision == "tf32")
    want = np.matmul(*(x.astype(np.longdouble) for x in exact))
    error = float(abs(out - want).max()) / 1024**0.5
    assert 0.3 * ROUNDING[precision] < error < factor * ROUNDING[precision]


def test_tf32_is_for_float32_and_only_where_asked(cublas):
    a, b, out = numbers((8, 64)), numbers((64, 8)), np.empty((8, 8))
    cublas.gemm(a, b, out, tf32=True)
    np.testing.assert_allclose(out, a @ b, rtol=1e-13, atol=1e-13)
    a32, b32, ieee = a.astype(np.float32), b.astype(np.float32), np.empty((8, 8), np.float32)
    cublas.gemm(a32, b32, ieee)
    np.testing.assert_allclose(ieee, a32.astype(float) @ b32.astype(float), rtol=0, atol=2e-5)
    tf32 = np.empty((8, 8), np.float32)
    cublas.gemm(a32, b32, tf32, tf32=True)
    assert abs(tf32 - ieee).max() > 1e-4


# -------------------------------------------------------------------- handle, stream, workspace


def multiply(cublas: ModuleType) -> None:
    cublas.gemm(np.ones((2, 2)), np.ones((2, 2)), np.ones((2, 2)))


def test_the_workspace_is_set_after_each_change_of_the_stream_and_kept(cublas, cupy):
    multiply(cublas)
    multiply(cublas)
    first = ["create", "math 16", "stream 0", "workspace 512 33554432", "gemm on 0", "gemm on 0"]
    assert journal(cublas) == first
    cupy.stream = 77
    multiply(cublas)
    cupy.stream = 0
    multiply(cublas)
    cupy.stream = 77
    multiply(cublas)
    assert journal(cublas) == [
        "stream 77", "workspace 1024 33554432", "gemm on 77",
        "stream 0", "workspace 512 33554432", "gemm on 0",
        "stream 77", "workspace 1024 33554432", "gemm on 77",
    ]  # fmt: skip
    assert cupy.allocated == [32 << 20, 32 << 20]  # one a stream: two may compute at once


def test_the_workspace_is_smaller_before_hopper(cublas, cupy):
    cupy.capability = "89"
    multiply(cublas)
    assert journal(cublas)[3] == f"workspace 512 {4 << 20}"


def test_devices_and_threads_have_handles_of_their_own(cublas, cupy):
    multiply(cublas)
    cupy.device = 1
    multiply(cublas)
    cupy.device = 0
    multiply(cublas)
    assert journal(cublas).count("create") == 2
    journals = []
    thread = threading.Thread(target=lambda: journals.append((multiply(cublas), journal(cublas))))
    thread.start()
    thread.join()
    assert journals[0][1].count("create") == 1 and not journal(cublas)


# ------------------------------------------------------------------------------- what it refuses


@pytest.mark.parametrize(
    ("a", "b", "out", "message"),
    [
        ((2, 3), (4, 5), (2, 5), r"times b \(4, 5\) does not go into out \(2, 5\)"),
        ((2, 3), (3, 5), (2, 4), r"does not go into out \(2, 4\)"),
        ((2, 3), (3,), (2,), "expected"),
        ((7, 2, 3), (3, 5), (2, 5), "expected"),
        ((7, 2, 3), (6, 3, 5), (7, 2, 5), "with a batch before it"),
        ((1, 2, 3), (3, 5), (7, 2, 5), "expected"),
        ((1, 7, 2, 3), (3, 5), (1, 7, 2, 5), "expected"),
    ],
)
def test_shapes_that_do_not_fit(cublas, a, b, out, message):
    with pytest.raises(ValueError, match=r"\[gemm\] a .*" + message):
        cublas.gemm(np.ones(a), np.ones(b), np.ones(out))


def test_strides_that_do_not_fit(cublas):
    good = np.ones((4, 4))
    every_other = np.ones((4, 8))[:, ::2]
    same_row = np.broadcast_to(np.ones(4), (4, 4))
    windows = np.lib.stride_tricks.as_strided(np.ones(9), (4, 4), (8, 8))
    for bad, why in [
        (every_other, r"neither of its last two strides, \(64, 16\), is an element's 8 bytes"),
        (same_row, r"its last two strides, \(0, 8\), step by less than 4 elements"),
        (windows, r"its last two strides, \(8, 8\), step by less than 4 elements"),
        (good[::-1], r"its last two strides, \(-32, 8\), step by less than 4 elements"),
    ]:
        assert not cublas.fits(bad) and not cublas.fits(bad.T) and cublas.fits(good)
        for i, name in enumerate(("a", "b", "out")):
            views = [good, good, good]
            views[i] = bad
            with pytest.raises(ValueError, match=rf"\[gemm\] {name}, of shape \(4, 4\), .*{why}; "):
                cublas.gemm(*views)
    same_matrix = np.broadcast_to(good, (3, 4, 4))
    with pytest.raises(ValueError, match="the matrices of out lie upon each other"):
        cublas.gemm(good, good, same_matrix)


@pytest.mark.parametrize(
    "dtypes",
    [("f4", "f8", "f8"), ("f4", "f4", "f8"), ("f4", "f4", "f2"), ("i8", "i8", "i8"),
     ("f2", BFLOAT16, "f4"), ("f2", "f2", BFLOAT16)],
)  # fmt: skip
def test_dtypes_that_do_not_fit(cublas, dtypes):
    with pytest.raises(TypeError, match=r"\[gemm\] cannot multiply .*: expected one dtype of"):
        cublas.gemm(*(np.ones((2, 2), dtype) for dtype in dtypes))


def test_sizes_beyond_32_bits_are_passed_in_64(cublas):
    a, b = ((4, 5), (2**34, 8), np.dtype("f8")), ((5, 3), (24, 8), np.dtype("f8"))
    wide = cublas._plan(a, b, ((4, 3), (24, 8), np.dtype("f8")), False, False)
    assert wide.function.__name__ == "cublasGemmEx_64" and wide.second[1] == 2**31
    for batch in ((), (2,)):
        a, b = numbers((*batch, 4, 5)), numbers((*batch, 5, 3))
        out = np.empty((*batch, 4, 3))
        views = ((x.shape, x.strides, x.dtype) for x in (a, b, out))
        plan = cublas._plan(*views, False, False)
        plan = plan._replace(function=cublas._product(bool(batch), True))
        cublas._plan, before = lambda *_, plan=plan: plan, cublas._plan
        cublas.gemm(a, b, out)
        cublas._plan = before
        np.testing.assert_allclose(out, a @ b)
    assert journal(cublas)[4:] == ["gemm_64 on 0", "batch_64 of 2 on 0"]


def test_an_error_of_cublas_has_its_name(cublas):
    multiply(cublas)
    cublas._library().cublasSetStream_v2(cublas._handle().pointer, 0)  # the workspace is gone
    with pytest.raises(RuntimeError, match=r"GemmEx failed: CUBLAS_STATUS_INTERNAL_ERROR \(14\)"):
        multiply(cublas)


def test_where_cublas_is_looked_for(unbound, monkeypatch):
    found = SimpleNamespace(load_nvidia_dynamic_lib=lambda name: SimpleNamespace(abs_path=name))
    monkeypatch.setitem(sys.modules, "cuda", SimpleNamespace(pathfinder=found))
    assert unbound._path() == "cublas"
    monkeypatch.setitem(sys.modules, "cuda", None)  # CuPy was built here, without it
    assert unbound._path() == "libcublas.so.13"
    unbound._path = lambda: "libcublas.so.7"
    with pytest.raises(RuntimeError, match=r"cuBLAS does not load \(libcublas.so.7: .*: install"):
        multiply(unbound)
