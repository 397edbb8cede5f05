"""The CUDA kernels without a GPU: they run, on the CPU.

Two things are checked; a third, that they compile for GPUs, in `test_cuda_compiles.py`. The same
sources, compiled by g++ under `cuda_shim.h`, compute what `kernels/reference` computes. And the
Python around them runs too, for NumPy stands in for CuPy and the shim for the launch, which refuses
an argument of the wrong type, an array that is not contiguous, and a kernel that writes beside its
arrays (`cuda_double.py`).

What this does not show: that CuPy and cuBLAS do what we take them to do, races between warps, that
anything runs on a GPU, or how fast. Only a GPU can.
"""

from __future__ import annotations

import inspect
import math
import re
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import kernels, nn, optim
from minigrad.kernels import cpu, precision, reference

TOLERANCE = {"float16": 2e-3, "float32": 2e-6, "float64": 1e-14}


# --------------------------------------------------------------------------------- it computes

# images, kernel_size, stride, pad (top, bottom, left, right), dilation
WINDOWS = {
    "plain": ((2, 4, 7, 6), (3, 3), (1, 1), (0, 0, 0, 0), (1, 1)),
    "overlapping": ((2, 4, 13, 13), (3, 3), (2, 2), (0, 0, 0, 0), (1, 1)),
    "nothing square": ((2, 4, 8, 5), (3, 2), (2, 1), (1, 0, 1, 1), (2, 1)),
    "dilated": ((1, 2, 9, 11), (2, 3), (2, 1), (1, 1, 1, 1), (3, 2)),
    "stride above kernel": ((2, 2, 9, 10), (2, 1), (3, 4), (1, 1, 0, 0), (1, 1)),
    "kernel is image": ((3, 2, 4, 5), (4, 5), (1, 1), (0, 0, 0, 0), (1, 1)),
    "one pixel": ((1, 2, 1, 1), (1, 1), (1, 1), (0, 0, 0, 0), (1, 1)),
    "empty batch": ((0, 2, 5, 5), (3, 3), (1, 1), (1, 1, 1, 1), (1, 1)),
}
MANY_TAPS = ((1, 2, 18, 19), (17, 16), (1, 2), (8, 8, 8, 8), (1, 1))  # too many for 8 bits
windows = pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS.keys())
dtypes = pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])


def numbers(shape: tuple[int, ...], dtype: str, seed: int = 0) -> np.ndarray:
    """Random numbers with ties, in an array that is not contiguous (so the glue has to copy it)."""
    values = np.random.default_rng([seed, *shape]).standard_normal(shape[::-1])
    return (np.round(values * 8) / 8).astype(dtype).T


def check(cuda: types.ModuleType, name: str, *args: Any, **options: Any) -> Any:
    """`kernels.cuda.<name>` against `kernels.reference.<name>`; returns the latter's result."""
    inputs = [arg.copy() if isinstance(arg, np.ndarray) else arg for arg in args]
    got = getattr(cuda, name)(*args, **options)
    want = getattr(reference, name)(*inputs, **options)
    for mine, right in zip(as_tuple(got), as_tuple(want), strict=True):
        assert mine.dtype == right.dtype and mine.shape == right.shape
        close(mine, right)
    for arg, before in zip(args, inputs, strict=True):
        assert not isinstance(arg, np.ndarray) or np.array_equal(arg, before, equal_nan=True)
    return want


def as_tuple(value: Any) -> tuple:
    return value if isinstance(value, tuple) else (value,)


def close(mine: np.ndarray, right: np.ndarray) -> None:
    size = max(1.0, float(np.max(np.abs(right), initial=0, where=np.isfinite(right))))
    tolerance = TOLERANCE.get(mine.dtype.name, 0)
    np.testing.assert_allclose(mine, right, rtol=tolerance, atol=tolerance * size)


@windows
@dtypes
def test_unfold_and_fold(cuda, window, dtype):
    shape, *options = window
    cols = check(cuda, "unfold", numbers(shape, dtype), *options)
    check(cuda, "fold", numbers(cols.shape, dtype), shape, *options)


@pytest.mark.parametrize(("groups", "work_bytes"), [(1, 256 << 20), (2, 256 << 20), (2, 1)])
@windows
@dtypes
def test_conv2d(cuda, window, dtype, groups, work_bytes, monkeypatch):
    monkeypatch.setattr(cuda.views, "WORK_BYTES", work_bytes)  # all images at once; one by one
    shape, kernel_size, *options = window
    x = numbers(shape, dtype) / shape[1]
    w, b = numbers((6, shape[1] // groups, *kernel_size), dtype) / 16, numbers((6,), dtype)
    y = check(cuda, "conv2d", x, w, b, *options, groups)
    check(cuda, "conv2d", x, w, None, *options, groups)
    g = numbers(y.shape, dtype, seed=1) / 16
    check(cuda, "conv2d_backward_input", g, w, shape, *options, groups)
    check(cuda, "conv2d_backward_weight", g, x, w.shape, *options, groups)


@dtypes
def test_conv2d_that_does_not_see_the_last_rows(cuda, dtype):
    """A transposed convolution with output padding asks for this: a negative pad below."""
    w, options = numbers((4, 3, 3, 2), dtype) / 16, ((3, 2), (0, -2, 1, -1), (1, 2), 1)
    x = numbers((2, 3, 11, 10), dtype)
    y = check(cuda, "conv2d", x, w, None, *options)
    check(cuda, "conv2d_backward_input", numbers(y.shape, dtype), w, x.shape, *options)
    check(cuda, "conv2d_backward_weight", numbers(y.shape, dtype), x, w.shape, *options)


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("window", [*WINDOWS.values(), MANY_TAPS], ids=[*WINDOWS, "many taps"])
@dtypes
def test_max_pool2d(cuda, window, dtype, ceil_mode):
    shape, *options = window
    x = numbers(shape, dtype).copy()
    if x.size > 50:
        x[0, 0, 2, 1:3] = np.nan
        x[0, 1] = -np.inf
    y, code = check(cuda, "max_pool2d", x, *options, ceil_mode)
    assert code.dtype == (np.uint16 if math.prod(options[0]) > 256 else np.uint8)
    alone, nothing = cuda.max_pool2d(x, *options, ceil_mode, need_code=False)
    assert nothing is None and np.array_equal(alone, y, equal_nan=True)
    check(cuda, "max_pool2d_backward", numbers(y.shape, dtype), code, shape, *options)


@pytest.mark.parametrize(
    "counting",  # ceil_mode, count_include_pad, divisor_override
    [(False, True, None), (True, True, None), (True, False, None), (False, True, 5)],
)
@windows
@dtypes
def test_avg_pool2d(cuda, window, dtype, counting):
    shape, *options, _ = window
    y = check(cuda, "avg_pool2d", numbers(shape, dtype), *options, *counting)
    g = numbers(y.shape, dtype)
    check(cuda, "avg_pool2d_backward", g, shape, *options, *counting)


@pytest.mark.parametrize("output_size", [(1, 1), (3, 2), (6, 6), (9, 4)])
@dtypes
def test_adaptive_avg_pool2d(cuda, dtype, output_size):
    y = check(cuda, "adaptive_avg_pool2d", numbers((2, 3, 7, 6), dtype), output_size)
    check(cuda, "adaptive_avg_pool2d_backward", numbers(y.shape, dtype), (2, 3, 7, 6))


@pytest.mark.parametrize("shape", [(2, 7, 6, 9), (3, 4), (1, 1, 1, 1), (0, 3, 2, 2)])
@pytest.mark.parametrize("options", [(5, 1e-4, 0.75, 2.0), (2, 0.9, 0.6, 1.0), (9, 3.0, 0.75, 1.0)])
@dtypes
def test_local_response_norm(cuda, dtype, shape, options):
    x = numbers(shape, dtype)
    check(cuda, "local_response_norm", x, *options)
    check(cuda, "local_response_norm_backward", numbers(shape, dtype, seed=1), x, *options)


def check_batch_norm(cuda, dtype, shape, affine, training):
    x, g = numbers(shape, dtype) + 3, numbers(shape, dtype, seed=1)
    single = np.result_type(dtype, np.float32)  # of everything that there is one of a channel
    x_wide, g_wide = x.astype(single), g.astype(single)
    mean, var = reference.batch_norm_stats(x_wide)
    invstd = (var + 1e-5) ** -0.5
    w, b = (numbers((shape[1],), single, seed) if affine else None for seed in (0, 1))
    y = reference.batch_norm(x_wide, mean, invstd, w, b).astype(dtype)
    gx, gw, gb = reference.batch_norm_backward(g_wide, x_wide, mean, invstd, w, training)
    for mine, right in (
        *zip(cuda.batch_norm_stats(x), (mean, var), strict=True),
        (cuda.batch_norm(x, mean, invstd, w, b), y),
        *zip(cuda.batch_norm_backward(g, x, mean, invstd, w, training),
             (gx.astype(dtype), gw, gb), strict=True),
        (cuda.sum_over_channels(g), gb.astype(dtype)),
    ):
        assert mine.dtype == right.dtype and mine.shape == right.shape
        close(mine, right)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("shape", [(4, 3, 5, 7), (300, 2), (2, 3, 20, 20), (1, 2, 1, 2)])
@dtypes
def test_batch_norm(cuda, dtype, shape, affine, training):
    check_batch_norm(cuda, dtype, shape, affine, training)


@dtypes
def test_sums_that_blocks_share(cuda, dtype, monkeypatch):
    """Several blocks a channel, of which the last have less to do."""
    monkeypatch.setattr(cuda.sums, "BLOCKS", 8)
    for shape in ((35, 2, 3, 3), (70, 3, 1, 1), (50, 40), (9, 3, 33)):
        check_batch_norm(cuda, dtype, shape, affine=False, training=True)
    for shape in ((0, 3), (2, 3, 0)):
        assert cuda.sum_over_channels(numbers(shape, dtype)).tolist() == [0, 0, 0]


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize(
    ("shape", "axis"), [((5, 10), 1), ((3, 70), -1), ((2, 5, 3), 1), ((33, 2), 0), ((0, 4), 1)]
)
@dtypes
def test_softmax(cuda, dtype, name, shape, axis):
    y = check(cuda, name, numbers(shape, dtype) * 4, axis)
    check(cuda, f"{name}_backward", numbers(shape, dtype, seed=1), y, axis)


def test_softmax_of_a_single_number(cuda):
    assert cuda.softmax(np.array(3.0), 0) == 1 and cuda.log_softmax(np.array(3.0), -1) == 0


def test_bfloat16(cuda):
    """Each kernel computes in float32, and rounds to bfloat16 once."""
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    x = np.array([[0, -0.0, 1, 1.004, 1.012, 3e38, 1e-40, -7.77]]).astype(bfloat16)
    weights = [x.copy()]
    cuda.sgd_step(
        weights, [np.zeros_like(x)], [None], [None], [0], cuda.live(lambda: [[0.0] * 5])()
    )
    assert weights[0].tobytes() == x.tobytes()  # to float32 and back
    g = np.full_like(x, 0.5)
    cuda.sgd_step(weights, [g], [None], [None], [0], cuda.live(lambda: [[0.3, 0, 0, 0, 0]])())
    rate, half = np.float32(0.3), np.float32(0.5)
    assert weights[0].tobytes() == (x.astype("float32") - rate * half).astype(bfloat16).tobytes()
    y = cuda.softmax(np.minimum(x, bfloat16(4)), 1)
    right = reference.softmax(np.minimum(x, bfloat16(4)).astype("float32"), 1)
    assert y.dtype == bfloat16
    np.testing.assert_allclose(y.astype("float32"), right, rtol=2**-8)
    image, options = numbers((2, 3, 6, 6), "float32").astype(bfloat16), ((3, 3), (2, 2), (0,) * 4)
    y, code = cuda.max_pool2d(image, *options, (1, 1), False)
    right, codes = reference.max_pool2d(image.astype("float32"), *options, (1, 1), False)
    assert (y.astype("float32") == right).all() and (code == codes).all()


def test_any_grid_covers_the_array(cuda, monkeypatch):
    monkeypatch.setattr(cuda.module.cupy, "largest_grid", 2)  # the kernels' loops must do the rest
    shape, window = (9, 4, 9, 11), ((2, 2), (1, 1), (0, 0, 0, 0), (1, 1))
    x = numbers(shape, "float32")
    cols = check(cuda, "unfold", x, *window)
    check(cuda, "fold", cols, shape, *window)
    y, code = check(cuda, "max_pool2d", x, *window, False)
    check(cuda, "max_pool2d_backward", y, code, shape, *window)
    check(cuda, "local_response_norm", x, 5, 1e-4, 0.75, 2.0)
    check(cuda, "batch_norm_stats", x)
    check(cuda, "softmax", x, 3)
    gx, index = np.zeros(3, "float32"), np.arange(2000) % 3
    cuda.index_add(gx, index, np.ones(2000, "float32"))
    assert gx.tolist() == [667, 667, 666]


# 70 parameters are more than one launch takes; one of them is two chunks long, one is empty.
SHAPES = [(9, 70), (3,), (0, 2), (8193,), *[(2,)] * 66]


def trained(module: types.ModuleType, name: str, dtype: str, options: list, skip: bool) -> list:
    """All parameters, what the optimizer remembers, and its counts, after three steps."""
    ps = [numbers(shape, dtype) for shape in SHAPES]
    memory = [[np.zeros_like(p) for p in ps] for _ in range(2)]
    steps, groups = [module.counter() for _ in ps], [i % 2 for i in range(len(ps))]
    now = module.live(lambda: options)
    for i in range(3):
        gs = [numbers(p.shape, dtype, seed=i + 1) for p in ps]
        flag = np.array(skip and i == 1, np.float32)
        if name == "adam_step":
            module.adam_step(ps, gs, *memory, steps, groups, now(), skip=flag)
        else:
            bufs = memory[0] if options[0][1] else [None] * len(ps)
            counts = [step if place % 3 else None for place, step in enumerate(steps)]
            module.sgd_step(ps, gs, bufs, counts, groups, now(), skip=flag)
    return [*ps, *memory[0], *memory[1], *steps]


def both_train(cuda: types.ModuleType, name: str, dtype: str, options: list, skip: bool) -> None:
    runs = [trained(module, name, dtype, options, skip) for module in (cuda, cpu)]
    for mine, right in zip(*runs, strict=True):
        close(mine, right)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize(
    ("momentum", "dampening", "nesterov"),
    [(0.0, 0.0, False), (0.9, 0.0, False), (0.9, 0.3, False), (0.9, 0.0, True)],
)
@dtypes
def test_sgd_step(cuda, dtype, momentum, dampening, nesterov, weight_decay):
    options = [[lr, momentum, dampening, weight_decay, float(nesterov)] for lr in (0.1, 0.03)]
    both_train(cuda, "sgd_step", dtype, options, skip=bool(weight_decay))


@pytest.mark.parametrize("decoupled", [0.0, 1.0])
@dtypes
def test_adam_step(cuda, dtype, decoupled):
    options = [[lr, 0.9, 0.99, 1e-3, 0.1, decoupled] for lr in (0.1, 0.03)]
    both_train(cuda, "adam_step", dtype, options, skip=bool(decoupled))


def test_a_captured_step_follows_the_rates(cuda):
    """A graph reads the rates from an array; what must be done before each launch writes them."""
    rates = [[0.5] * 5 for _ in range(30)]  # more numbers than one launch takes
    now = cuda.optim.live(lambda: rates)
    with cuda.capture.recorded(), pytest.raises(RuntimeError, match="has run once"):
        now()
    array = now()
    rates[29] = [0.25] * 5
    with cuda.capture.recorded() as actions:
        assert now() is array
    assert (array == 0.5).all()  # nothing is written into a graph
    for action in actions:
        action()
    assert (array == rates).all()
    rates.append([1.0] * 5)
    with pytest.raises(cuda.capture.Outdated):
        actions[0]()
    with pytest.raises(cuda.capture.Outdated):
        del now
        actions[0]()


@pytest.mark.parametrize(
    "index",
    [
        3, slice(1, 5, 2), (slice(None), -1), np.array([2, 0, 2, 2, -1]),
        (np.array([[0, 5], [0, 0]]), np.array([1, 1])), (np.array([1, 1]), slice(2, 4)),
        np.arange(6) % 2 == 0, [1, 1], np.zeros(0, int),
    ],
    ids=str,
)  # fmt: skip
@dtypes
def test_index_add(cuda, dtype, index):
    mine, right = numbers((6, 4), dtype).copy(), numbers((6, 4), dtype).copy()
    g = numbers(right[index].shape, dtype, seed=1)
    cuda.index_add(mine, index, g)
    cpu.index_add(right, index, g)
    close(mine, right)


@dtypes
def test_matrix_products(cuda, dtype):
    a, b, w = numbers((3, 4, 5), dtype), numbers((5, 6), dtype), numbers((6, 5), dtype)
    check(cuda, "matmul", a, b)
    check(cuda, "matmul", a, b[:, 0])
    check(cuda, "matmul", a[0, 0], b)
    check(cuda, "matmul", a[:0], b)
    check(cuda, "linear", a, w, numbers((6,), dtype))
    check(cuda, "linear", a[0, 0], w, None)


@pytest.mark.parametrize(
    ("a", "b", "calls"),  # shapes, and the outputs of the products that they take
    [
        ((4,), (4,), [(1, 1)]),
        ((2, 3, 4, 5), (5, 6), [(24, 6)]),  # one matrix for all: the batch becomes rows
        ((2, 3, 4, 5), (1, 1, 5, 6), [(24, 6)]),
        ((4, 5), (2, 3, 5, 6), [(6, 4, 6)]),  # the other way round: a batch with one a
        ((2, 3, 4, 5), (2, 3, 5, 6), [(6, 4, 6)]),
        ((2, 1, 4, 5), (3, 5, 6), [(3, 4, 6)] * 2),  # no one stride: a loop, over the fewer
        ((7, 1, 4, 5), (3, 5, 6), [(7, 4, 6)] * 3),
        ((2, 1, 3, 4, 5), (2, 2, 1, 5, 6), [(3, 4, 6)] * 4),
        ((0, 4, 5), (5, 6), []),
        ((3, 4, 0), (0, 6), [(12, 6)]),
        ((2, 1, 4, 0), (3, 0, 6), [(6, 4, 6)]),
    ],
)
@dtypes
def test_batches_of_products(cuda, monkeypatch, dtype, a, b, calls):
    a, b = np.ascontiguousarray(numbers(a, dtype)), np.ascontiguousarray(numbers(b, dtype))
    products = watch(monkeypatch, cuda)
    check(cuda, "matmul", a, b)
    assert [out.shape for *_, out in products] == calls


def watch(monkeypatch, cuda) -> list[tuple]:
    """The list of (a, b, out) with which `gemm` will be called."""
    calls, gemm = [], cuda.cublas.gemm

    def noting(a: Any, b: Any, out: Any, *args: Any, **options: Any) -> None:
        calls.append((a, b, out))
        gemm(a, b, out, *args, **options)

    monkeypatch.setattr(cuda.cublas, "gemm", noting)
    return calls


def test_transposed_operands_are_not_copied(cuda, monkeypatch):
    products = watch(monkeypatch, cuda)
    a, b = numbers((3, 5, 4), "float32").copy(), numbers((3, 6, 5), "float32").copy()
    check(cuda, "matmul", a.swapaxes(1, 2), b.swapaxes(1, 2))
    check(cuda, "matmul", a[:, :, 1:3].swapaxes(1, 2), b[1, :4].T)
    for used_a, used_b, _ in products:
        assert np.may_share_memory(used_a.host, a) and np.may_share_memory(used_b.host, b)
    every_other, backward = numbers((4, 8), "float32").copy()[:, ::2], np.stack([b, b])[:, ::-1]
    for scattered, other in ((every_other, every_other.T), (a[::-1], a[0].T), (backward, a)):
        products.clear()  # these have to be
        check(cuda, "matmul", scattered, other)
        assert not np.may_share_memory(products[0][0].host, scattered)


def test_products_are_captured(gpu):
    """Which CuPy's own calls of cuBLAS refuse; and none waits."""
    net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 5)).to("cuda")
    images = np.random.default_rng(0).standard_normal((3, 4, 2, 6, 6), np.float32)
    x = mg.tensor(images[0], device="cuda", requires_grad=True)

    def step() -> tuple:
        y = net(x) @ net[3].weight
        y.square().mean().backward()
        gradients = [p.grad.array for p in (x, *net.parameters())]
        for p in (x, *net.parameters()):
            p.grad = None
        return (y.array, *gradients)

    step()
    with gpu.cuda.Stream(non_blocking=True) as stream, gpu.no_waiting():
        stream.begin_capture()
        outputs = step()
        graph = stream.end_capture()
    for batch in images[1:]:
        x.array.set(batch)
        graph.launch()
        for mine, right in zip(outputs, step(), strict=True):
            np.testing.assert_array_equal(mine.get(), right.get())


def test_integers_are_multiplied_by_cupy(cuda, monkeypatch):
    products = watch(monkeypatch, cuda)
    a = np.arange(6).reshape(2, 3)
    assert np.array_equal(cuda.matmul(a, a.T), a @ a.T) and cuda.matmul(a > 2, a.T > 0).all() == 0
    assert not products


@pytest.mark.parametrize("work_bytes", [256 << 20, 5000])  # all images at once; two, then one
@dtypes
def test_convolution_by_image(cuda, dtype, work_bytes, monkeypatch):
    """Where L is large beside K, as in a first layer, nothing is transposed and nothing copied."""
    monkeypatch.setattr(cuda.views, "WORK_BYTES", work_bytes)
    monkeypatch.setattr(cuda.im2col, "channels_first", None)
    monkeypatch.setattr(cuda.im2col, "unfold_matrix", None)
    options = (2, 2), (1, 1, 1, 1), (1, 1), 1  # 16x16 images, 3x3 at every second pixel: 8x8
    x, w = numbers((3, 1, 16, 16), dtype), numbers((5, 1, 3, 3), dtype) / 8
    monkeypatch.setattr(cuda.im2col, "TILE", 64)
    products = watch(monkeypatch, cuda)
    y = check(cuda, "conv2d", x, w, None, *options)
    g = numbers(y.shape, dtype, seed=1) / 8
    check(cuda, "conv2d_backward_input", g, w, x.shape, *options)
    check(cuda, "conv2d_backward_weight", g, x, w.shape, *options)
    shapes = {out.shape[1:] for *_, out in products}
    assert shapes == {(5, 64), (9, 64), (5, 9)} and all(out.ndim == 3 for *_, out in products)
    assert products[-1][2].dtype == ("float64" if dtype == "float64" else "float32")


@pytest.mark.parametrize(
    ("groups", "k", "places", "by_image"),
    [
        (1, 121, 54 * 54, True),  # AlexNet's first layer on grey images
        (1, 363, 54 * 54, True),  # and on colour
        (1, 363, 55 * 55, False),  # rows of 3025 numbers begin anywhere
        (1, 2400, 26 * 26, False),  # its second: a sixth of the tiles would be empty
        (2, 121, 54 * 54, False),
    ],
)
def test_when_a_convolution_is_multiplied_by_image(package, groups, k, places, by_image):
    weights = np.empty((groups, 96 // groups, k), np.float32)
    assert package.im2col._by_image(weights, places) == by_image


def test_tf32_where_it_is_allowed(cuda, monkeypatch):
    a, x, w = numbers((8, 64), "float32"), numbers((2, 4, 6, 6), "float32"), None
    a, x = a + np.float32(1e-3), x + np.float32(1e-3)  # more bits than TF32 has
    w = a[:4, :36].reshape(4, 4, 3, 3)
    options = (1, 1), (0, 0, 0, 0), (1, 1), 1
    calls = {
        "matmul": lambda: cuda.matmul(a, a.T),
        "linear": lambda: cuda.linear(a, a, None),
        "conv2d": lambda: cuda.conv2d(x, w, None, *options),
        "conv2d_backward_input": lambda: cuda.conv2d_backward_input(
            x[:, :, 2:, 2:], w, x.shape, *options
        ),
        "conv2d_backward_weight": lambda: cuda.conv2d_backward_weight(
            x[:, :, 2:, 2:], x, w.shape, *options
        ),
    }
    exact = {name: call() for name, call in calls.items()}
    for switch in (precision.matmul, precision.cudnn):
        monkeypatch.setattr(switch, "allow_tf32", True)
        for name, call in calls.items():
            error = abs(call() - exact[name]).max() / abs(exact[name]).max()
            allowed = name.startswith("conv") == (switch is precision.cudnn)
            assert 1e-5 < error < 1e-3 if allowed else error == 0
        monkeypatch.setattr(switch, "allow_tf32", False)


@dtypes
def test_elementwise(cuda, dtype):
    x, g = numbers((5, 4), dtype), numbers((5, 4), dtype, seed=1)
    y, positive = np.tanh(x), np.abs(x) + 1
    calls = [
        ("relu", x), ("relu_backward", g, x), ("leaky_relu", x, 0.1), ("sigmoid", x),
        ("leaky_relu_backward", g, x, 0.1), ("sigmoid_backward", g, y), ("tanh_backward", g, y),
        ("add", x, g), ("sub", x, 2.0), ("mul", 3.0, x), ("div", x, positive), ("pow", x, 2),
        ("neg", x), ("exp", x), ("log", positive), ("sqrt", positive), ("abs", x), ("tanh", x),
        ("copy", x.T), ("fused", lambda xp, g, x: g * xp.maximum(x, 0) * (x < 1), g, x),
    ]  # fmt: skip
    for name, *args in calls:
        mine, right = getattr(cuda, name)(*args), getattr(cpu, name)(*args)
        assert mine.dtype == right.dtype == dtype, name
        close(mine, right)


def test_training_steps_equal_the_cpus(cuda, monkeypatch):
    runs = []
    for module in (cuda, cpu):
        monkeypatch.setattr(kernels, "of", lambda array, module=module: module)
        mg.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(1, 8, 5, padding=2), nn.ReLU(), nn.LocalResponseNorm(5), nn.MaxPool2d(3, 2),
            nn.Conv2d(8, 12, 3, groups=2), nn.BatchNorm2d(12), nn.ReLU(), nn.AdaptiveAvgPool2d(3),
            nn.Flatten(), nn.Linear(108, 10),
        )  # fmt: skip
        optimizer = optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)
        x, labels = numbers((6, 1, 20, 20), "float32"), np.arange(6)
        for _ in range(3):
            optimizer.zero_grad()
            nn.CrossEntropyLoss()(net(mg.Tensor(x)), mg.Tensor(labels)).backward()
            optimizer.step()
        runs.append([p.array for p in net.parameters()])
    for mine, right in zip(*runs, strict=True):
        np.testing.assert_allclose(mine, right, rtol=1e-4, atol=1e-5)


# ------------------------------------------------------------------------ it says what it must


def test_an_integer_array_is_refused(cuda):
    with pytest.raises(TypeError, match=r"\[max_pool2d\] on CUDA takes float16, .*, got int64"):
        cuda.max_pool2d(np.ones((1, 1, 2, 2), int), (1, 1), (1, 1), (0, 0, 0, 0), (1, 1), False)


def test_a_plane_too_large_for_an_int_is_refused(package):
    """Read or written: 32768 x 32769 pixels, of which a stride leaves a quarter."""
    module, (large, small) = package.module, ((2**15, 2**15 + 1), (2**14, 2**14))
    for side, places in ((large, small), (small, large)):
        with pytest.raises(ValueError, match="one plane has 1073774592 pixels; the CUDA kernels"):
            module.window((1, 1, *side), (1, 1), (2, 2), (0, 0, 0, 0), (1, 1), places)
    module.window((1, 1, 2**15, 2**15), (1, 1), (2, 2), (0, 0, 0, 0), (1, 1), small)
    with pytest.raises(ValueError, match="one plane has"):
        module.launch_planes(None, 1, 2**30 + 1)


def exports(module: types.ModuleType) -> set[str]:
    return {
        name
        for name, value in vars(module).items()
        if callable(value) and not name.startswith("_")
    }


def test_the_names_and_signatures_are_the_cpus(package):
    assert exports(package) == exports(cpu)
    for name in exports(cpu):
        if "*" not in str(inspect.signature(getattr(cpu, name))):  # that is: not a bare wrapper
            assert parameters(getattr(package, name)) == parameters(getattr(cpu, name)), name


def parameters(function: Any) -> list[tuple]:
    return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]


def test_every_kernel_is_compiled_and_none_is_atomic(package):
    module = package.module
    code = re.sub(r"//.*", "", module.source())
    declared = re.findall(r"__global__ void (\w+)\(", code)
    assert sorted(declared) == sorted(
        module.KERNELS + module.KERNELS_WITH_CODE + module.KERNELS_WITHOUT_TYPE
    )
    assert "atomic" not in code
    folder = Path(package.__file__).parent
    assert {path.name for path in folder.glob("*.cu*")} == set(module.FILES)


def test_every_file_opens_with_its_formula_and_its_bytes(package):
    for path in Path(package.__file__).parent.glob("*.cu*"):
        text = path.read_text()
        assert max(map(len, text.splitlines())) <= 100, path.name
        head = re.match(r"(//.*\n)+", text)[0]
        assert path.suffix == ".cuh" or ("\n//     " in head and "Bytes" in head), path.name
