"""The GPU's algorithms of convolution against the plain loops.

Their Python runs with NumPy in CuPy's place and their kernels under the C++ shim, so what is proved
here is the index algebra: in float64, to 1e-12, where no rounding hides a wrong term. In float32
and float16 they are held to what their files state.
"""

from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest

import minigrad as mg
from alexnet import summary
from minigrad import backends, nn
from minigrad.kernels import cpu, reference

ALGORITHMS = ("im2col", "split-k", "w-lowered", "flat-shift", "space-to-depth", "winograd")
CASES = {
    "AlexNet's second": dict(x=(1, 2, 27, 27), w=(1, 2, 5, 5), pad=(2, 2, 2, 2)),
    "AlexNet's third": dict(x=(3, 3, 13, 13), w=(4, 3, 3, 3), pad=(1, 1, 1, 1)),
    "AlexNet's first": dict(x=(1, 3, 23, 19), w=(2, 3, 11, 11), stride=(4, 4), pad=(2, 2, 2, 2)),
    "one channel": dict(x=(1, 1, 9, 8), w=(1, 1, 3, 3), pad=(1, 1, 1, 1)),
    "groups": dict(x=(3, 6, 7, 10), w=(9, 2, 3, 3), pad=(1, 1, 1, 1), groups=3),
    "uneven padding": dict(x=(2, 3, 8, 6), w=(5, 3, 5, 5), pad=(0, 3, 4, 1)),
    "more padding than kernel": dict(x=(2, 2, 5, 4), w=(3, 2, 3, 3), pad=(4, 3, 5, 4)),
    "last pixels unseen": dict(x=(2, 3, 11, 10), w=(4, 3, 3, 3), pad=(0, -2, 1, -1)),
    "first pixels unseen": dict(x=(2, 3, 8, 9), w=(4, 3, 3, 3), pad=(-1, 2, -2, 1)),
    "one output": dict(x=(3, 3, 3, 3), w=(5, 3, 3, 3)),
    "many channels": dict(x=(1, 40, 4, 4), w=(35, 40, 3, 3), pad=(1, 1, 1, 1)),
    "no images": dict(x=(0, 2, 6, 6), w=(3, 2, 3, 3), pad=(1, 1, 1, 1)),
    "1x1": dict(x=(2, 7, 4, 3), w=(2, 7, 1, 1)),
    "one row": dict(x=(2, 3, 1, 9), w=(4, 3, 1, 4), pad=(0, 0, 1, 2)),
    "kernel is image": dict(x=(2, 3, 5, 4), w=(4, 3, 5, 4)),
    "dilated down": dict(x=(2, 4, 11, 7), w=(6, 2, 3, 2), dilation=(2, 1), groups=2),
    "dilated": dict(x=(2, 2, 11, 9), w=(3, 2, 3, 2), dilation=(2, 3), pad=(1, 0, 2, 1)),
    "strided": dict(x=(3, 4, 9, 8), w=(6, 2, 3, 2), stride=(2, 3), groups=2, pad=(1, 1, 0, 1)),
    "strided and dilated": dict(
        x=(2, 2, 17, 16), w=(3, 2, 3, 3), stride=(2, 4), dilation=(3, 2), pad=(1, 2, 3, 0)
    ),
    "stride above kernel": dict(x=(2, 3, 10, 9), w=(4, 3, 2, 2), stride=(4, 3), pad=(1, 0, 0, 1)),
    "strided, last pixels unseen": dict(
        x=(2, 3, 11, 12), w=(4, 3, 3, 2), stride=(3, 2), pad=(0, -2, 1, -1)
    ),
}  # fmt: skip
STRIDED = {name for name, case in CASES.items() if "stride" in case}
DILATED = {name for name, case in CASES.items() if "dilation" in case}
NO_SQUARE = {"1x1", "one row", "kernel is image"}
IMPOSSIBLE = {
    "flat-shift": STRIDED | {"dilated"}, "space-to-depth": DILATED,
    "winograd": STRIDED | DILATED | NO_SQUARE,
}  # fmt: skip
POSSIBLE = [
    pytest.param(algorithm, name, id=f"{algorithm}-{name}")
    for algorithm, name in itertools.product(ALGORITHMS, CASES)
    if name not in IMPOSSIBLE.get(algorithm, ())
]
# Rounding: the error's norm over the result's, for sums of a few hundred terms at most.
BOUNDS = {"float64": 1e-12, "float32": 5e-7, "float16": 1e-3}
WINOGRAD_BOUNDS = {"float64": 1e-12, "float32": 1e-5}


@functools.cache
def example(name: str):
    """The options, (x, w, b, g), and what the loops make of them: y without b, gx and gw.

    The numbers are float16's, so that they are the same in all dtypes.
    """
    case = CASES[name]
    rng = np.random.default_rng(0)

    def array(shape):  # not contiguous
        return rng.standard_normal(shape[::-1]).astype(np.float16).astype(np.float64).T

    options = (
        case.get("stride", (1, 1)), case.get("pad", (0, 0, 0, 0)), case.get("dilation", (1, 1)),
        case.get("groups", 1),
    )
    x, w, b = array(case["x"]), array(case["w"]), array(case["w"][:1])
    y = reference.conv2d(x, w, None, *options)
    g = array(y.shape)
    gx = reference.conv2d_backward_input(g, w, x.shape, *options)
    return options, (x, w, b, g), (y, gx, reference.conv2d_backward_weight(g, x, w.shape, *options))


@pytest.fixture
def forced(monkeypatch):
    return functools.partial(monkeypatch.setattr, backends.conv, "algorithm")


def check(cuda, name, bounds, dtype="float64"):
    """All three kernels, and forward with a bias."""
    options, inputs, (y, gx, gw) = example(name)
    x, w, b, g = (array.astype(dtype) for array in inputs)
    results = (
        (cuda.conv2d(x, w, b, *options), y + inputs[2][:, None, None]),
        (cuda.conv2d(x, w, None, *options), y),
        (cuda.conv2d_backward_input(g, w, x.shape, *options), gx),
        (cuda.conv2d_backward_weight(g, x, w.shape, *options), gw),
    )
    for result, right in results:
        assert result.dtype == dtype and result.flags.c_contiguous
        close(result, right, bounds[dtype])
    return [result for result, _ in results]


def close(result, right, bound):
    assert result.shape == right.shape
    error = np.linalg.norm((result - right).astype(np.float64))
    assert error <= bound * max(np.linalg.norm(right), 1e-300)


@pytest.mark.parametrize(("algorithm", "name"), POSSIBLE)
def test_equals_the_loops(cuda, forced, algorithm, name):
    forced(algorithm)
    check(cuda, name, BOUNDS)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_rounding(cuda, forced, algorithm, dtype):
    forced(algorithm)
    if algorithm == "winograd" and dtype == "float16":
        with pytest.raises(ValueError, match="'winograd' needs .* or float64, got float16"):
            check(cuda, "AlexNet's third", BOUNDS, dtype)
        return
    check(cuda, "AlexNet's third", WINOGRAD_BOUNDS if algorithm == "winograd" else BOUNDS, dtype)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_images_in_chunks_and_any_grid(cuda, forced, algorithm, monkeypatch):
    """One image at a time, on a grid of 2x2 blocks: the loops in the kernels do the rest. Twice, to
    the same bits."""
    forced(algorithm)
    monkeypatch.setattr(cuda.views, "WORK_BYTES", 1)
    monkeypatch.setattr(cuda.module.cupy, "largest_grid", 2)
    for first, second in zip(*(check(cuda, "groups", BOUNDS) for _ in range(2)), strict=True):
        assert np.array_equal(first, second)


@pytest.mark.parametrize("blocks", [1, 3, 132])
def test_sums_in_parts(cuda, forced, blocks, monkeypatch):
    """507 places in 1, 3 and 7 parts: of 169 each, and of 72 with 3 left over."""
    forced("split-k")
    monkeypatch.setattr(cuda.split_k, "BLOCKS", blocks)
    monkeypatch.setattr(cuda.split_k, "SHORTEST", 70)
    check(cuda, "AlexNet's third", BOUNDS)


@pytest.mark.parametrize(("r", "m"), [(2, 5), (3, 4), (3, 6), (4, 3), (5, 2), (5, 4), (7, 2)])
def test_winograd_of_other_sizes(cuda, forced, r, m, monkeypatch):
    """The kernels know no matrix: F(m x m, r x r) for any whose points are known."""
    forced("winograd")
    monkeypatch.setitem(CASES, f"{r}x{r}", dict(x=(2, 2, 9, 8), w=(3, 2, r, r), pad=(1, 0, 2, 1)))
    monkeypatch.setitem(cuda.winograd.TILE, r, m)
    check(cuda, f"{r}x{r}", BOUNDS)
    close(check(cuda, f"{r}x{r}", {"float32": 3e-5}, "float32")[1], example(f"{r}x{r}")[2][0], 3e-5)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("r", [3, 5])
def test_rounding_with_many_terms(cuda, forced, algorithm, r):
    """As the files state it, for inputs after a ReLU and weights as they are drawn."""
    forced(algorithm)
    bound = {3: 2e-6, 5: 6e-6}[r] if algorithm == "winograd" else 1e-6
    options, (x, w, g), right = many_terms(r)
    close(cuda.conv2d(x, w, None, *options), right[0], bound)
    close(cuda.conv2d_backward_input(g, w, x.shape, *options), right[1], bound)
    close(cuda.conv2d_backward_weight(g, x, w.shape, *options), right[2], bound)


@functools.cache
def many_terms(r: int):
    """Float32 inputs with 96 channels, and the three results in float64."""
    rng = np.random.default_rng(0)
    x = np.maximum(rng.standard_normal((1, 96, 8, 8), "f4"), 0)
    w, g = rng.standard_normal((6, 96, r, r), "f4"), rng.standard_normal((1, 6, 8, 8), "f4")
    options, (xd, wd, gd) = ((1, 1), (r // 2,) * 4, (1, 1), 1), (a.astype("f8") for a in (x, w, g))
    return options, (x, w, g), (
        cpu.im2col.conv2d(xd, wd, None, *options),
        cpu.im2col.conv2d_backward_input(gd, wd, x.shape, *options),
        cpu.im2col.conv2d_backward_weight(gd, xd, w.shape, *options),
    )


@pytest.mark.parametrize(("algorithm", "names"), IMPOSSIBLE.items())
def test_what_it_cannot_do_is_refused(cuda, forced, algorithm, names):
    forced(algorithm)
    for name in names:
        options, (x, w, _, g), _ = example(name)
        with pytest.raises(ValueError, match=rf"\[conv2d\] algorithm '{algorithm}' needs .*, got"):
            cuda.conv2d(x, w, None, *options)
        with pytest.raises(ValueError, match=f"kernel {w.shape[2:]}".replace("(", r"\(")[:-1]):
            cuda.conv2d_backward_input(g, w, x.shape, *options)
        with pytest.raises(ValueError, match="stride .* dilation"):
            cuda.conv2d_backward_weight(g, x, w.shape, *options)


@pytest.mark.parametrize("algorithm", ALGORITHMS[:-1])
def test_tf32_where_it_is_allowed(cuda, forced, algorithm, monkeypatch):
    """Every product of every algorithm is then rounded to 10 bits."""
    forced(algorithm)
    options, (x, w, g), right = many_terms(3)
    monkeypatch.setattr(backends.cudnn, "allow_tf32", True)
    for result, exact in zip(
        (cuda.conv2d(x, w, None, *options), cuda.conv2d_backward_input(g, w, x.shape, *options),
         cuda.conv2d_backward_weight(g, x, w.shape, *options)), right, strict=True,
    ):  # fmt: skip
        assert 1e-5 < np.linalg.norm(result - exact) / np.linalg.norm(exact) < 1e-3


def test_winograd_is_refused_in_tf32(cuda, forced, monkeypatch):
    forced("winograd")
    monkeypatch.setattr(backends.cudnn, "allow_tf32", True)
    check(cuda, "AlexNet's third", BOUNDS)  # float64 is never rounded
    with pytest.raises(ValueError, match="'winograd' needs .* float32 without TF32"):
        check(cuda, "AlexNet's third", BOUNDS, "float32")


def test_the_choice(package, forced):
    arguments = np.dtype("f4"), (2, 3, 8, 8), (4, 3, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 1
    assert package.conv.choose(*arguments) == "im2col"  # until somebody measures
    assert tuple(package.conv.ALGORITHMS) == ALGORITHMS
    for algorithm in ALGORITHMS:
        forced(algorithm)
        assert package.conv.choose(*arguments) == algorithm
    forced("fft")
    with pytest.raises(ValueError, match="CUDA has .*'auto', 'im2col', .*, not 'fft'"):
        package.conv.choose(*arguments)


def test_the_summary_names_it(gpu, forced):
    net = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ConvTranspose2d(4, 2, 3)).to("cuda")
    for chosen, named in (("auto", "im2col"), ("flat-shift", "flat-shift")):
        forced(chosen)
        layers = summary.trace(net, mg.zeros(1, 2, 8, 8, device="cuda"))
        assert [summary.algorithm(layer) for layer in layers] == [named] * 2


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_gradients(gpu, forced, algorithm):
    forced(algorithm)
    strided = 1 if algorithm in ("flat-shift", "winograd") else 2
    x, w, b = (
        mg.randn(*shape, dtype=mg.float64, device="cuda", requires_grad=True)
        for shape in ((1, 2, 4, 3), (2, 1, 3, 3), (2,))
    )
    options = dict(stride=strided, padding=1, groups=2)
    assert mg.gradcheck(lambda *a: nn.functional.conv2d(*a, **options), (x, w, b))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_it_can_be_captured(gpu, forced, algorithm):
    """Nothing waits and nothing comes from the host, once it has run."""
    forced(algorithm)
    x = mg.randn(2, 2, 5, 5, device="cuda", requires_grad=True)
    layer = nn.Conv2d(2, 3, 3, padding=1).to("cuda")

    def step():
        y = layer(x)
        y.backward(y.detach())
        return y

    right, stream = step().cpu(), gpu.cuda.Stream(non_blocking=True)
    with stream, gpu.no_waiting():
        stream.begin_capture()
        y = step()
        graph = stream.end_capture()
        graph.launch()
    np.testing.assert_array_equal(y.detach().cpu().numpy(), right.detach().numpy())


def test_the_adjoints_phases(package):
    """Along one axis, against the matrix of the convolution, for all small cases."""
    cases = itertools.product((1, 4, 7), (1, 2, 3), (1, 2, 3, 4), (-1, 0, 2), (1, 2, 3))
    for size, kernel, stride, pad, dilation in cases:
        places = max(1, (size + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1)
        matrix = np.zeros((places, size, kernel), int)  # 1 where place o sees input i by tap k
        for o, k in np.ndindex(places, kernel):
            i = o * stride - pad + k * dilation
            if 0 <= i < size:
                matrix[o, i, k] = 1
        mine = np.zeros_like(matrix)
        for phase in package.adjoint.phases(size, kernel, stride, pad, dilation, places):
            taps = range(kernel)[phase.taps][::-1]
            count = places + sum(phase.pad) - phase.dilation * (len(taps) - 1)
            inputs = range(size)[phase.inputs]
            assert not taps or count == len(inputs)
            for (q, i), (k, tap) in itertools.product(enumerate(inputs), enumerate(taps)):
                o = q - phase.pad[0] + k * phase.dilation
                if 0 <= o < places:
                    mine[o, i, tap] += 1
        np.testing.assert_array_equal(mine, matrix)
