"""The oracle itself, against PyTorch: every function of `kernels.reference` on small samples."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from minigrad.kernels import geometry, reference

rng = np.random.default_rng(2012)


def normal(*shape: int) -> np.ndarray:
    return rng.standard_normal(shape)


def positive(*shape: int) -> np.ndarray:
    return rng.random(shape) + 0.1


def close(ours: Any, theirs: torch.Tensor) -> None:
    theirs_array = theirs.detach().numpy()
    assert np.shape(ours) == theirs_array.shape
    np.testing.assert_allclose(ours, theirs_array, rtol=1e-12, atol=1e-12)


def gradient(function: Callable[..., torch.Tensor], g: np.ndarray, *inputs: np.ndarray) -> Any:
    """PyTorch's gradients of each input, for the cotangent g."""
    leaves = [torch.tensor(x, requires_grad=True) for x in inputs]
    return torch.autograd.grad(function(*leaves), leaves, torch.tensor(g))


# ------------------------------------------------------------------------- elementwise, reductions


@pytest.mark.parametrize("name", ["neg", "abs", "exp", "tanh", "sigmoid", "relu"])
def test_functions_of_one_number(name: str) -> None:
    x = np.array([[-700.0, -2.5, -0.0, 0.0], [1e-3, 1.0, 3.0, 700.0]])
    close(getattr(reference, name)(x), getattr(torch, name)(torch.tensor(x)))


@pytest.mark.parametrize("name", ["log", "sqrt"])
def test_functions_of_one_positive_number(name: str) -> None:
    x = positive(3, 4)
    close(getattr(reference, name)(x), getattr(torch, name)(torch.tensor(x)))


@pytest.mark.parametrize("slope", [0.01, 0.5])
def test_leaky_relu(slope: float) -> None:
    x = normal(4, 5)
    close(reference.leaky_relu(x, slope), F.leaky_relu(torch.tensor(x), slope))


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "pow"])
def test_functions_of_two_numbers_broadcast(name: str) -> None:
    x, y = positive(3, 1, 4), positive(2, 1)
    close(getattr(reference, name)(x, y), getattr(torch, name)(torch.tensor(x), torch.tensor(y)))


def test_numbers_may_stand_for_arrays() -> None:
    x = positive(2, 3)
    close(reference.sub(1, x), 1 - torch.tensor(x))
    close(reference.pow(x, 3), torch.tensor(x) ** 3)


def test_dropout_scales_what_it_keeps() -> None:
    mask = np.array([True, False, True])
    np.testing.assert_array_equal(reference.dropout(np.ones(3), mask, 0.75), [4, 0, 4])


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions(axis: Any, keepdims: bool) -> None:
    x = rng.integers(-3, 4, (3, 4, 5)).astype(float)
    t = torch.tensor(x)
    dim = (0, 1, 2) if axis is None else axis
    for name in ("sum", "mean", "amax", "amin"):
        close(getattr(reference, name)(x, axis, keepdims), getattr(t, name)(dim, keepdims))
    for correction in (0, 1):
        ours = reference.var(x, axis, correction, keepdims)
        close(ours, torch.var(t, dim, correction=correction, keepdim=keepdims))


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_argmax_is_the_first(axis: int | None) -> None:
    x = rng.integers(-2, 3, (3, 4, 5)).astype(float)
    x[1, 2, 3] = np.nan
    close(reference.argmax(x, axis), torch.tensor(x).argmax(axis))
    close(reference.amax(x, axis), torch.tensor(x).amax(() if axis is None else axis))
    close(reference.amin(x, axis), torch.tensor(x).amin(() if axis is None else axis))


@pytest.mark.parametrize(
    ("a", "b"),
    [((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 4)), ((2, 3), (3, 4)), ((5, 1, 2, 3), (6, 3, 4))],
)
def test_matmul(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    x, y = normal(*a), normal(*b)
    close(reference.matmul(x, y), torch.tensor(x) @ torch.tensor(y))


def test_linear() -> None:
    x, w, b = normal(2, 5, 3), normal(4, 3), normal(4)
    close(reference.linear(x, w, b), F.linear(*map(torch.tensor, (x, w, b))))
    close(reference.linear(x, w), F.linear(*map(torch.tensor, (x, w))))


# ------------------------------------------------------------------------------------ convolution

CONVOLUTIONS = [  # x, w, stride, padding, dilation, groups
    ((2, 3, 6, 5), (4, 3, 3, 2), (1, 1), (0, 0), (1, 1), 1),
    ((2, 4, 7, 6), (6, 2, 3, 3), (2, 1), (1, 2), (1, 2), 2),
    ((1, 3, 5, 5), (3, 1, 2, 2), (3, 3), (1, 0), (2, 1), 3),
    ((2, 2, 3, 4), (2, 2, 3, 4), (1, 1), (0, 0), (1, 1), 1),
    ((0, 2, 4, 4), (2, 2, 3, 3), (1, 1), (0, 0), (1, 1), 1),
]


@pytest.mark.parametrize("convolution", CONVOLUTIONS)
def test_conv2d(convolution: Any) -> None:
    x_shape, w_shape, stride, padding, dilation, groups = convolution
    x, w, b = normal(*x_shape), normal(*w_shape), normal(w_shape[0])
    options = (stride, geometry.both_sides(padding), dilation, groups)
    y = reference.conv2d(x, w, b, *options)
    tensors = [torch.tensor(array) for array in (x, w, b)]
    close(y, F.conv2d(*tensors, stride, padding, dilation, groups))
    close(
        reference.conv2d(x, w, None, *options),
        F.conv2d(*tensors[:2], None, stride, padding, dilation, groups),
    )
    g = normal(*y.shape)
    gx, gw = gradient(lambda x, w: F.conv2d(x, w, None, stride, padding, dilation, groups), g, x, w)
    close(reference.conv2d_backward_input(g, w, x_shape, *options), gx)
    close(reference.conv2d_backward_weight(g, x, w_shape, *options), gw)


def test_conv2d_pads_each_side_by_its_own() -> None:
    x, w = normal(1, 2, 4, 5), normal(3, 2, 2, 2)
    padded = F.pad(torch.tensor(x), (3, 0, 1, 2))  # left, right, top, bottom
    y = reference.conv2d(x, w, None, (1, 1), (1, 2, 3, 0), (1, 1), 1)
    close(y, F.conv2d(padded, torch.tensor(w)))


@pytest.mark.parametrize("stride", [(1, 1), (2, 3)])
@pytest.mark.parametrize("padding", [(0, 0), (1, 2)])
@pytest.mark.parametrize("dilation", [(1, 1), (2, 1)])
def test_unfold_and_fold(stride: Any, padding: Any, dilation: Any) -> None:
    x, kernel = normal(2, 3, 6, 7), (3, 2)
    options = (kernel, stride, geometry.both_sides(padding), dilation)
    columns = reference.unfold(x, *options)
    close(columns, F.unfold(torch.tensor(x), kernel, dilation, padding, stride))
    g = normal(*columns.shape)
    folded = F.fold(torch.tensor(g), x.shape[2:], kernel, dilation, padding, stride)
    close(reference.fold(g, x.shape, *options), folded)


# ------------------------------------------------------------------------------------------- pools

CHOICES = ([(3, 3), (2, 3)], [(1, 1), (2, 3)], [(0, 0), (1, 1)], [(1, 1), (2, 1)])
POOLS = list(itertools.product(*CHOICES))  # kernel, stride, padding, dilation


@pytest.mark.parametrize(("kernel", "stride", "padding", "dilation"), POOLS)
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_max_pool2d(kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool) -> None:
    x = rng.integers(-2, 3, (2, 2, 7, 8)).astype(float)  # full of ties
    x[0, 0, :4] = -np.inf
    x[0, 1, 2, 2:4] = np.nan
    t = torch.tensor(x, requires_grad=True)
    expected, places = F.max_pool2d(
        t, kernel, stride, padding, dilation, ceil_mode, return_indices=True
    )
    pad = geometry.both_sides(padding)
    y, code = reference.max_pool2d(x, kernel, stride, pad, dilation, ceil_mode)
    close(y, expected)
    oh, ow = np.indices(y.shape[2:])
    rows = oh * stride[0] - padding[0] + code // kernel[1] * dilation[0]
    columns = ow * stride[1] - padding[1] + code % kernel[1] * dilation[1]
    close(rows * x.shape[3] + columns, places)
    g = normal(*y.shape)
    (gx,) = torch.autograd.grad(expected, t, torch.tensor(g))
    close(reference.max_pool2d_backward(g, code, x.shape, kernel, stride, pad, dilation), gx)


@pytest.mark.parametrize(("kernel", "stride", "padding"), [pool[:3] for pool in POOLS[::2]])
@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize(("count_include_pad", "divisor"), [(False, None), (True, None), (True, 5)])
def test_avg_pool2d(
    kernel: Any, stride: Any, padding: Any, ceil_mode: bool, count_include_pad: bool, divisor: Any
) -> None:
    x, rest = normal(2, 2, 7, 8), (ceil_mode, count_include_pad, divisor)
    options = (kernel, stride, geometry.both_sides(padding), *rest)
    y = reference.avg_pool2d(x, *options)
    close(y, F.avg_pool2d(torch.tensor(x), kernel, stride, padding, *rest))
    g = normal(*y.shape)
    (gx,) = gradient(lambda x: F.avg_pool2d(x, kernel, stride, padding, *rest), g, x)
    close(reference.avg_pool2d_backward(g, x.shape, *options), gx)


@pytest.mark.parametrize("size", [(1, 1), (3, 4), (5, 7), (9, 2)])
def test_adaptive_avg_pool2d(size: Any) -> None:
    x, g = normal(2, 2, 6, 7), normal(2, 2, *size)
    close(reference.adaptive_avg_pool2d(x, size), F.adaptive_avg_pool2d(torch.tensor(x), size))
    (gx,) = gradient(lambda x: F.adaptive_avg_pool2d(x, size), g, x)
    close(reference.adaptive_avg_pool2d_backward(g, x.shape), gx)


# ------------------------------------------------------------------- normalisation, softmax, losses


@pytest.mark.parametrize("size", [1, 2, 4, 5])
@pytest.mark.parametrize("channels", [1, 3, 7])
def test_local_response_norm(size: int, channels: int) -> None:
    x, g, options = normal(2, channels, 2, 3), normal(2, channels, 2, 3), (size, 0.9, 0.7, 1.5)
    close(
        reference.local_response_norm(x, *options),
        F.local_response_norm(torch.tensor(x), *options),
    )
    (gx,) = gradient(lambda x: F.local_response_norm(x, *options), g, x)
    close(reference.local_response_norm_backward(g, x, *options), gx)


@pytest.mark.parametrize("affine", [False, True])
def test_batch_norm(affine: bool) -> None:
    x, g, eps = normal(3, 4, 2, 3), normal(3, 4, 2, 3), 1e-3
    w, b = (normal(4), normal(4)) if affine else (None, None)
    mean, var = reference.batch_norm_stats(x)
    expected_var, expected_mean = torch.var_mean(torch.tensor(x), (0, 2, 3), correction=0)
    close(mean, expected_mean)
    close(var, expected_var)
    invstd = 1 / np.sqrt(var + eps)
    tensors = [None if array is None else torch.tensor(array) for array in (w, b)]
    expected = F.batch_norm(torch.tensor(x), None, None, *tensors, training=True, eps=eps)
    close(reference.batch_norm(x, mean, invstd, w, b), expected)

    w, b = (np.ones(4), np.zeros(4)) if w is None else (w, b)
    for training in (True, False):
        statistics = (None, None) if training else (torch.tensor(mean), torch.tensor(var))
        expected_grads = gradient(
            lambda x, w, b, s=statistics, t=training: F.batch_norm(x, *s, w, b, t, eps=eps),
            g, x, w, b,
        )  # fmt: skip
        grads = reference.batch_norm_backward(g, x, mean, invstd, w if affine else None, training)
        for ours, theirs in zip(grads, expected_grads, strict=True):
            close(ours, theirs)


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax(name: str, axis: int) -> None:
    x, g = normal(3, 4, 5) * 300, normal(3, 4, 5)
    x[0, 0, 0] = -np.inf
    y = getattr(reference, name)(x, axis)
    function = getattr(F, name)
    close(y, function(torch.tensor(x), axis))
    (gx,) = gradient(lambda x: function(x, axis), g, x)
    close(getattr(reference, name + "_backward")(g, y, axis), gx)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_of_nothing_but_minus_infinity(name: str) -> None:
    x = np.array([[-np.inf, -np.inf], [0.0, -np.inf]])
    close(getattr(reference, name)(x, 1), getattr(F, name)(torch.tensor(x), 1))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(6, 5), (2, 5, 3, 2)])
def test_losses_of_class_numbers(reduction: str, weighted: bool, shape: tuple[int, ...]) -> None:
    x, target = normal(*shape), rng.integers(0, 5, (shape[0], *shape[2:]))
    target.flat[1] = 3
    weight = positive(5) if weighted else None
    t, tt, tw = torch.tensor(x), torch.tensor(target), torch.tensor(weight) if weighted else None
    options: dict[str, Any] = {"reduction": reduction, "ignore_index": 3}
    close(reference.nll_loss(x, target, weight, **options), F.nll_loss(t, tt, tw, **options))
    for smoothing in (0.0, 0.2):
        options["label_smoothing"] = smoothing
        ours = reference.cross_entropy(x, target, weight, **options)
        close(ours, F.cross_entropy(t, tt, tw, **options))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("shape", [(6, 5), (2, 5, 3)])
def test_losses_of_numbers(reduction: str, smoothing: float, shape: tuple[int, ...]) -> None:
    x, p, weight = normal(*shape), positive(*shape), positive(5)
    t, tp, tw = map(torch.tensor, (x, p, weight))
    for ours_weight, weights in ((None, None), (weight, tw)):
        options: dict[str, Any] = {"reduction": reduction, "label_smoothing": smoothing}
        ours = reference.cross_entropy(x, p, ours_weight, **options)
        close(ours, F.cross_entropy(t, tp, weights, **options))
    close(reference.mse_loss(x, p, reduction), F.mse_loss(t, tp, reduction=reduction))


# ------------------------------------------------------------------------------------------- dtype


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_results_have_the_dtype_of_the_input(dtype: type) -> None:
    x = normal(2, 3, 4, 4).astype(dtype)
    pool = ((2, 2), (2, 2), (0, 0, 0, 0))
    results = (
        reference.exp(x),
        reference.mean(x, (0, 2)),
        reference.matmul(x, x),
        reference.conv2d(x, x, None, (1, 1), (0, 0, 0, 0), (1, 1), 1),
        reference.max_pool2d(x, *pool, (1, 1), False)[0],
        reference.avg_pool2d(x, *pool, False, True, None),
        reference.local_response_norm(x, 3, 1.0, 0.75, 1.0),
        *reference.batch_norm_stats(x),
        reference.softmax(x, 1),
        reference.mse_loss(x, x),
    )
    for y in results:
        assert y.dtype == dtype


def test_sums_are_kept_in_float64() -> None:
    x = np.full(1000, 0.1, np.float16)
    exact = 1000 * float(x[0])
    assert float(reference.sum(x)) == float(np.float16(exact))
