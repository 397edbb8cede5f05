"""The convolution algorithms of the CPU against the plain loops, and the choice between them."""

from functools import cache

import numpy as np
import pytest

import minigrad
from minigrad.kernels import reference
from minigrad.kernels.cpu import conv, cores, im2col, layout, space_to_depth, winograd
from minigrad.kernels.cpu.layout import images_first, images_last
from minigrad.ops.conv import Conv2d

# The bounds that the files state: the error's norm over the result's, by algorithm and dtype.
BOUNDS = {
    ("im2col", "float32"): 1e-6, ("winograd", "float32"): 1e-5,
    ("im2col", "float64"): 1e-14, ("winograd", "float64"): 2e-14,
    ("space-to-depth", "float32"): 1e-5, ("space-to-depth", "float64"): 2e-14,
}
IM2COL_ONLY = {
    "stride": dict(x=(3, 4, 9, 8), w=(6, 4, 3, 2), stride=(2, 3)),
    "dilation": dict(x=(2, 4, 11, 9), w=(6, 4, 3, 2), dilation=(2, 3)),
    "one_by_one": dict(x=(5, 7, 4, 3), w=(2, 7, 1, 1)),
    "kernel_is_image": dict(x=(2, 3, 5, 4), w=(4, 3, 5, 4)),
    "large_stride": dict(x=(2, 3, 9, 9), w=(4, 3, 2, 2), stride=(4, 4)),
}
STRIDED = {
    "alexnet_first": dict(x=(3, 3, 31, 31), w=(4, 3, 11, 11), stride=(4, 4)),
    "many_strided": dict(x=(32, 1, 17, 15), w=(3, 1, 5, 6), stride=(2, 2), pad=(2, 2, 2, 2)),
    "strided_groups": dict(x=(1, 4, 12, 11), w=(4, 2, 6, 5), stride=(2, 2), groups=2),
    "unequal_strides": dict(x=(2, 2, 14, 11), w=(3, 2, 9, 5), stride=(3, 2), pad=(0, 1, 3, 0)),
    "five_strides": dict(x=(1, 1, 20, 18), w=(2, 1, 15, 13), stride=(3, 3)),
    "much_padding": dict(x=(2, 1, 5, 4), w=(2, 1, 9, 9), stride=(4, 4), pad=(9, 13, 10, 8)),
    "last_pixels_unseen": dict(x=(2, 1, 14, 15), w=(3, 1, 5, 5), stride=(2, 2), pad=(0, -2, 1, -3)),
    "strided_no_images": dict(x=(0, 2, 11, 11), w=(3, 2, 11, 11), stride=(4, 4)),
}
BOTH = {
    "3x3": dict(x=(5, 6, 12, 12), w=(4, 6, 3, 3), pad=(1, 1, 1, 1)),
    "5x5": dict(x=(3, 4, 14, 9), w=(6, 4, 5, 5), pad=(2, 2, 2, 2)),
    "groups": dict(x=(4, 6, 7, 10), w=(9, 2, 3, 3), pad=(1, 1, 1, 1), groups=3),
    "groups_of_few_images": dict(x=(2, 8, 5, 6), w=(8, 2, 3, 3), pad=(1, 1, 1, 1), groups=4),
    "no_padding": dict(x=(2, 3, 8, 6), w=(5, 3, 3, 3)),
    "uneven_padding": dict(x=(2, 3, 8, 6), w=(5, 3, 5, 5), pad=(0, 3, 4, 1)),
    "one_output": dict(x=(4, 3, 3, 3), w=(5, 3, 3, 3)),
    "one_image": dict(x=(1, 3, 9, 9), w=(5, 3, 3, 3), pad=(1, 1, 1, 1)),
    "many_images": dict(x=(40, 2, 6, 6), w=(3, 2, 3, 3), pad=(1, 1, 1, 1)),
    "no_images": dict(x=(0, 2, 6, 6), w=(3, 2, 3, 3), pad=(1, 1, 1, 1)),
}
CASES = [
    pytest.param(algorithm, name, id=f"{algorithm}-{name}")
    for algorithm, names in (
        ("im2col", [*IM2COL_ONLY, *STRIDED, *BOTH]), ("winograd", BOTH),
        ("space-to-depth", [*STRIDED, "3x3"]),
    )
    for name in names
]


@pytest.fixture
def forced(request, monkeypatch):
    monkeypatch.setattr(conv, "algorithm", request.param)
    return request.param


def arrays(case, dtype):
    rng = np.random.default_rng(0)

    def array(shape):
        return rng.standard_normal(shape).astype(dtype)

    options = (
        case.get("stride", (1, 1)), case.get("pad", (0, 0, 0, 0)), case.get("dilation", (1, 1)),
        case.get("groups", 1),
    )
    x, w, b = array(case["x"]), array(case["w"]), array(case["w"][:1])
    y = reference.conv2d(*(a.astype(np.float64) for a in (x, w, b)), *options)
    return x, w, b, array(y.shape), y, options


@cache
def by_loops(name, dtype):
    """x, w, b, g; what the loops, which take long, make of them: y, gx, gw; the options."""
    x, w, b, g, y, options = arrays({**IM2COL_ONLY, **STRIDED, **BOTH}[name], dtype)
    wide = [a.astype(np.float64) for a in (x, w, g)]
    gx = reference.conv2d_backward_input(wide[2], wide[1], x.shape, *options)
    gw = reference.conv2d_backward_weight(wide[2], wide[0], w.shape, *options)
    return (x, w, b, g), (y, gx, gw), options


def strided(array):
    """The same numbers in memory that is transposed and runs backward."""
    return array[..., ::-1].T.copy().T[..., ::-1]


def images_innermost(array):
    """The same numbers in memory as (C, H, W, N)."""
    return images_first(np.ascontiguousarray(images_last(array)))


def close(actual, expected, bound):
    error = np.linalg.norm((actual - expected).astype(np.float64))
    assert actual.shape == expected.shape
    assert error <= bound * max(np.linalg.norm(expected), 1e-300)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("forced", "name"), CASES, indirect=["forced"])
@pytest.mark.parametrize("lay", [np.copy, strided], ids=["contiguous", "strided"])
def test_equals_the_loops(forced, name, dtype, lay):
    inputs, (y, gx, gw), options = by_loops(name, dtype)
    x, w, b, g = map(lay, inputs)
    bound = BOUNDS[forced, dtype]
    close(conv.conv2d(x, w, b, *options), y, bound)
    close(conv.conv2d(x, w, None, *options), y - b.astype(np.float64)[:, None, None], bound)
    close(conv.conv2d_backward_input(g, w, x.shape, *options), gx, bound)
    close(conv.conv2d_backward_weight(g, x, w.shape, *options), gw, bound)


@pytest.mark.parametrize(("forced", "name"), CASES, indirect=["forced"])
def test_gradients_by_finite_differences(forced, name):
    (x, w, b, _), _, (stride, pad, dilation, groups) = by_loops(name, "float64")
    options = dict(stride=stride, pad=pad, dilation=dilation, groups=groups)
    inputs = [minigrad.tensor(a, requires_grad=True) for a in (x, w, b)]
    assert minigrad.gradcheck(lambda *arrays: Conv2d.apply(*arrays, **options), inputs)


@pytest.mark.parametrize("few", [False, True])
@pytest.mark.parametrize("name", [*IM2COL_ONLY, *STRIDED, *BOTH])
def test_shares_and_blocks_that_cut_rows(name, few, monkeypatch):
    """Three cores and the smallest blocks, by positions and by channels."""
    (x, w, b, g), (y, gx, gw), options = by_loops(name, "float64")

    def shares(n, *_):
        return [(n * i // min(n, 3), n * (i + 1) // min(n, 3)) for i in range(min(n, 3))]

    def parallel(fn, n, *_, **__):
        for part in shares(n):
            fn(*part)

    monkeypatch.setattr(im2col, "parallel", parallel)
    monkeypatch.setattr(im2col, "shares", shares)
    monkeypatch.setattr(im2col, "BLOCK", 1)
    monkeypatch.setattr(im2col, "LEAST_COLUMNS", 5)
    monkeypatch.setattr(im2col, "SMALL", 1000)  # and products in pieces
    monkeypatch.setattr(im2col, "PIECE", 2)
    monkeypatch.setattr(im2col, "PIECE_OF_GRADIENT", 3)
    monkeypatch.setattr(im2col._Windows, "few", few and options[3] == 1)
    close(im2col.conv2d(x, w, b, *options), y, 1e-14)
    close(im2col.conv2d_backward_input(g, w, x.shape, *options), gx, 1e-14)
    close(im2col.conv2d_backward_weight(g, x, w.shape, *options), gw, 1e-14)


@pytest.mark.parametrize("lay", [np.copy, images_innermost])
@pytest.mark.parametrize("name", STRIDED)
def test_rows_of_pixels_that_become_channels(name, lay, monkeypatch):
    """The sizes are too small for a second core and a second block."""
    (x, w, b, g), (y, _, gw), (stride, pad, _, groups) = by_loops(name, "float64")

    def parallel(fn, n, *_):
        fn(0, n // 2)
        fn(n // 2, n)

    monkeypatch.setattr(space_to_depth, "parallel", parallel)
    monkeypatch.setattr(layout, "L2_BYTES", 1)
    bound = BOUNDS["space-to-depth", "float64"]
    close(space_to_depth.conv2d(lay(x), w, b, stride, pad, groups), y, bound)
    close(
        space_to_depth.conv2d_backward_weight(g, lay(x), w.shape, stride, pad, groups), gw, bound
    )


def test_fold_is_the_adjoint_of_unfold():
    rng = np.random.default_rng(0)
    x, options = rng.standard_normal((3, 2, 7, 6)), ((3, 2), (2, 1), (1, 0, 2, 1), (1, 2))
    columns = im2col.unfold(x, *options)
    np.testing.assert_array_equal(columns, reference.unfold(x, *options))
    g = rng.standard_normal(columns.shape)
    np.testing.assert_allclose((columns * g).sum(), (x * im2col.fold(g, x.shape, *options)).sum())


# The norm of Winograd's error over the result's in float32, by r and m, as the file states it.
STATED = {
    (3, 2): 7e-7, (3, 3): 2e-6, (3, 4): 2.5e-6, (3, 5): 5.5e-6, (3, 6): 7e-6,
    (5, 2): 3e-6, (5, 4): 7e-6,
}  # fmt: skip


def test_a_bound_is_stated_for_each_tile():
    assert set(STATED) == {(r, m) for r in winograd.TILES for m in winograd.TILES[r]}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("r", "m"), STATED)
def test_error_of_each_tile(r, m, dtype, monkeypatch):
    """Sums over 256 channels, forward, and of the two gradients; float64 has 29 bits more."""
    monkeypatch.setitem(winograd.TILES, r, (m,))
    pad = (r // 2,) * 4
    x, w, b, g, _, options = arrays(dict(x=(2, 256, 13, 13), w=(8, 256, r, r), pad=pad), dtype)
    wide = [a.astype(np.float64) for a in (x, w, b, g)]
    bound = STATED[r, m] / (1 if dtype == "float32" else 2**29)
    close(winograd.conv2d(x, w, b, pad, 1), im2col.conv2d(*wide[:3], *options), bound)
    gx = im2col.conv2d_backward_input(wide[3], wide[1], x.shape, *options)
    close(winograd.conv2d_backward_input(g, w, x.shape, pad, 1), gx, bound)
    gw = im2col.conv2d_backward_weight(wide[3], wide[0], w.shape, *options)
    close(winograd.conv2d_backward_weight(g, x, w.shape, pad, 1), gw, bound)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("stride", "r", "m"), [(4, 3, 4), (4, 3, 6), (2, 5, 4)])
def test_error_of_a_strided_convolution(stride, r, m, dtype, monkeypatch):
    """As of the tile that it comes to, for sums over as many channels."""
    monkeypatch.setitem(winograd.TILES, r, (m,))
    C, K, strides, pad = 256 // stride**2, r * stride - 1, (stride, stride), (2, 2, 2, 2)
    case = dict(x=(2, C, 13 * stride, 13 * stride), w=(8, C, K, K), stride=strides, pad=pad)
    x, w, b, g, _, options = arrays(case, dtype)
    wide = [a.astype(np.float64) for a in (x, w, b, g)]
    bound = STATED[r, m] / (1 if dtype == "float32" else 2**29)
    y = im2col.conv2d(*wide[:3], *options)
    close(space_to_depth.conv2d(x, w, b, strides, pad, 1), y, bound)
    gx = im2col.conv2d_backward_input(wide[3], wide[1], x.shape, *options)
    close(space_to_depth.conv2d_backward_input(g, w, x.shape, strides, pad, 1), gx, bound)
    gw = im2col.conv2d_backward_weight(wide[3], wide[0], w.shape, *options)
    close(space_to_depth.conv2d_backward_weight(g, x, w.shape, strides, pad, 1), gw, bound)


@pytest.mark.parametrize(
    ("name", "m"), [(name, m) for name in BOTH for m in winograd.TILES[BOTH[name]["w"][2]]]
)
def test_each_tile_equals_the_loops(name, m, monkeypatch):
    (x, w, b, g), (y, gx, gw), options = by_loops(name, "float64")
    monkeypatch.setitem(winograd.TILES, w.shape[2], (m,))
    _, pad, _, groups = options
    bound = BOUNDS["winograd", "float64"]
    close(winograd.conv2d(x, w, b, pad, groups), y, bound)
    close(winograd.conv2d_backward_input(g, w, x.shape, pad, groups), gx, bound)
    close(winograd.conv2d_backward_weight(g, x, w.shape, pad, groups), gw, bound)


def test_tiles_are_chosen_to_fit_the_maps(monkeypatch):
    def chosen(OH, channels, r=3):
        return winograd._best((32, channels, OH, OH), (channels, channels, r, r), 1)[1]

    assert [chosen(3, 512), chosen(6, 256), chosen(13, 384), chosen(24, 64)] == [3, 3, 5, 6]
    assert chosen(26, 96, 5) == 4
    assert chosen(2, 512, 5) == 2


@pytest.mark.parametrize(("m", "r"), [(4, 3), (4, 5), (3, 4), (5, 4), (2, 3), (3, 3), (3, 6)])
def test_cook_toom_convolves(m, r):
    """A^T [(G w) . (B^T x)] slides w along x, for any w and x."""
    AT, G, BT = winograd.cook_toom(m, r)
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal(m + r - 1), rng.standard_normal(r)
    np.testing.assert_allclose(AT @ ((G @ w) * (BT @ x)), np.correlate(x, w, "valid"), atol=1e-13)


ALEXNET_3 = dict(shape=(32, 384, 13, 13), w_shape=(384, 256, 3, 3), pad=(1, 1, 1, 1))


def choose(dtype=np.float32, stride=(1, 1), dilation=(1, 1), groups=1, **changes):
    case = {**ALEXNET_3, **changes}
    return conv.choose(
        np.dtype(dtype), case["shape"], case["w_shape"], stride, case["pad"], dilation, groups
    )


def test_winograd_is_chosen_where_it_pays():
    assert choose() == "winograd"
    assert choose(dtype=np.float64) == "im2col"  # exact to the last digits, for gradient checks
    assert choose(stride=(2, 2)) == "im2col"
    assert choose(dilation=(2, 2)) == "im2col"
    assert choose(w_shape=(384, 256, 4, 4)) == "im2col"
    assert choose(w_shape=(384, 1, 3, 3)) == "im2col"  # transforms of 384 maps for the sake of one
    assert choose(w_shape=(384, 8, 3, 3), groups=32) == "im2col"
    assert choose(shape=(1, 384, 13, 13)) == "im2col"  # as many weights to transform as ever
    assert choose(shape=(1, 256, 26, 26), w_shape=(256, 96, 5, 5)) == "winograd"
    assert choose(shape=(32, 384, 1, 1), pad=(0, 0, 0, 0)) == "im2col"
    assert choose(shape=(0, 384, 13, 13)) == "im2col"


def test_space_to_depth_is_chosen_where_it_pays():
    first = dict(shape=(32, 96, 55, 55), w_shape=(96, 3, 11, 11), stride=(4, 4), pad=(0, 0, 0, 0))
    assert choose(**first) == "space-to-depth"
    assert choose(**first, dtype=np.float64) == "im2col"
    assert choose(**first, dilation=(2, 2)) == "im2col"
    assert choose(**{**first, "shape": (1, 96, 55, 55)}) == "im2col"  # too little for its calls
    assert choose(**{**first, "w_shape": (64, 3, 7, 7), "stride": (2, 2)}) == "im2col"  # no tiles
    assert choose(stride=(2, 2)) == "im2col"


def test_forcing_an_algorithm(monkeypatch):
    monkeypatch.setattr(minigrad.backends.conv, "algorithm", "im2col")
    assert choose() == "im2col"
    monkeypatch.setattr(conv, "algorithm", "winograd")
    assert choose(dtype=np.float64, shape=(1, 1, 1, 1)) == "winograd"
    with pytest.raises(ValueError, match=r"'winograd' needs a 3x3 or 5x5 kernel.*stride \(2, 2\)"):
        choose(stride=(2, 2))
    monkeypatch.setattr(conv, "algorithm", "space-to-depth")
    assert choose(dtype=np.float64, w_shape=(96, 3, 10, 5), stride=(4, 2)) == "space-to-depth"
    for case in (
        dict(stride=(2, 2)), dict(dilation=(2, 2)), dict(w_shape=(96, 3, 9, 11), stride=(3, 3)),
    ):
        with pytest.raises(ValueError, match="'space-to-depth' needs a kernel of 3 or 5 strides"):
            choose(**case)
    monkeypatch.setattr(conv, "algorithm", "fft")
    with pytest.raises(ValueError, match="the CPU has .*'im2col'.*, not 'fft'"):
        choose()


@pytest.mark.parametrize("forced", conv.ALGORITHMS[1:], indirect=True)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_same_bits_twice(forced, count, monkeypatch):
    monkeypatch.setattr(cores, "_num_threads", count)
    x, w, b, g, _, options = arrays(BOTH["many_images"], np.float32)
    for kernel, args in (
        (conv.conv2d, (x, w, b)), (conv.conv2d_backward_input, (g, w, x.shape)),
        (conv.conv2d_backward_weight, (g, x, w.shape)),
    ):
        np.testing.assert_array_equal(kernel(*args, *options), kernel(*args, *options))
