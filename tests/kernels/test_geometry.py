"""Where windows lie, against PyTorch's shapes and against the formula written out."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F

from minigrad.kernels import geometry

SIZES = (1, 2, 3, 5, 8, 9)
POOLS = list(itertools.product(SIZES, range(1, 5), range(1, 5), range(3), (1, 2, 3)))


@pytest.mark.parametrize("ceil_mode", [False, True])
def test_pool_output_size_is_pytorchs(ceil_mode: bool) -> None:
    compared = 0
    for size, kernel, stride, pad, dilation in POOLS:
        if pad > kernel // 2:
            continue  # not a pool: see test_check_pool
        image = torch.empty(1, 1, size, size, device="meta")
        out = geometry.pool_output_size(size, kernel, stride, pad, pad, dilation, ceil_mode)
        try:
            expected = F.max_pool2d(image, kernel, stride, pad, dilation, ceil_mode).shape[-1]
        except RuntimeError:
            assert out < 1
            continue
        assert out == expected, (size, kernel, stride, pad, dilation)
        compared += 1
    assert compared > 250


def test_conv_output_size_is_pytorchs() -> None:
    for size, kernel, stride, pad, dilation in POOLS:
        out = geometry.conv_output_size(size, kernel, stride, pad, pad, dilation)
        image = torch.empty(1, 1, size, size, device="meta")
        weight = torch.empty(1, 1, kernel, kernel, device="meta")
        if out < 1:
            with pytest.raises(RuntimeError):
                F.conv2d(image, weight, None, stride, pad, dilation)
        else:
            assert F.conv2d(image, weight, None, stride, pad, dilation).shape[-1] == out


def test_output_shape_keeps_the_axes_apart() -> None:
    shape = geometry.output_shape((2, 3, 10, 20), (3, 5), (1, 2), (0, 1, 2, 3), (2, 1))
    assert shape == ((10 + 1 - 5) // 1 + 1, (20 + 5 - 5) // 2 + 1)


@pytest.mark.parametrize("ceil_mode", [False, True])
def test_taps_follow_the_formula(ceil_mode: bool) -> None:
    for size, kernel, stride, pad, dilation in POOLS:
        out = geometry.pool_output_size(size, kernel, stride, pad, pad, dilation, ceil_mode)
        for tap in range(kernel):
            looked_at = [(o, o * stride - pad + tap * dilation) for o in range(out)]
            outputs, inputs = geometry.tap_inside(tap, size, out, stride, pad, dilation)
            found = list(zip(range(out)[outputs], range(size)[inputs], strict=True))
            assert found == [(o, i) for o, i in looked_at if 0 <= i < size]
            if out > 0:
                padded = range(size + 2 * pad + kernel * dilation + stride)
                positions = padded[geometry.tap_positions(tap, out, stride, dilation)]
                assert list(positions) == [i + pad for _, i in looked_at]


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (2, 5), (4, 4)])
@pytest.mark.parametrize("dilation", [(1, 1), (2, 3)])
def test_same_padding_is_pytorchs(kernel: tuple[int, int], dilation: tuple[int, int]) -> None:
    x = torch.arange(16 * 18, dtype=torch.float64).reshape(1, 1, 16, 18)
    w = torch.rand(1, 1, *kernel, dtype=torch.float64)
    top, bottom, left, right = geometry.resolve_padding("same", kernel, (1, 1), dilation)
    assert (bottom - top in (0, 1)) and (right - left in (0, 1))
    ours = F.conv2d(F.pad(x, (left, right, top, bottom)), w, dilation=dilation)
    torch.testing.assert_close(ours, F.conv2d(x, w, padding="same", dilation=dilation))


def test_resolve_padding() -> None:
    assert geometry.resolve_padding(2, (3, 3), (2, 2)) == (2, 2, 2, 2)
    assert geometry.resolve_padding((1, 2), (3, 3), (2, 2)) == (1, 1, 2, 2)
    assert geometry.resolve_padding("valid", (3, 3), (2, 2)) == (0, 0, 0, 0)


def test_pair() -> None:
    assert geometry.pair(3, "[conv2d] stride") == (3, 3)
    assert geometry.pair([1, 2], "[conv2d] stride") == (1, 2)
    assert geometry.pair(torch.Size((4, 5)), "[conv2d] stride") == (4, 5)


@pytest.mark.parametrize("value", ["3", 1.5, (1, 2, 3), None, True, (1, "a"), (1, 2.0)])
def test_pair_refuses(value: object) -> None:
    with pytest.raises(ValueError, match=r"\[conv2d\] stride must be an integer or a pair"):
        geometry.pair(value, "[conv2d] stride")


def test_adaptive_windows_are_pytorchs() -> None:
    for size, out in itertools.product(range(1, 10), range(1, 12)):
        line = torch.rand(1, 1, size, dtype=torch.float64)
        means = [line[0, 0, a:b].mean() for a, b in geometry.adaptive_windows(size, out)]
        torch.testing.assert_close(torch.stack(means), F.adaptive_avg_pool1d(line, out)[0, 0])


@pytest.mark.parametrize("count_include_pad", [False, True])
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_window_counts_are_pytorchs_divisors(count_include_pad: bool, ceil_mode: bool) -> None:
    for size, kernel, stride, pad, _ in POOLS[::3]:
        out = geometry.pool_output_size(size, kernel, stride, pad, pad, 1, ceil_mode)
        if pad > kernel // 2 or out < 1:
            continue
        counts = geometry.window_counts(size, kernel, stride, pad, pad, out, count_include_pad)
        ones = torch.ones(1, 1, 1, size)
        options = {"ceil_mode": ceil_mode, "stride": (1, stride), "padding": (0, pad)}
        ones_seen = F.avg_pool2d(ones, (1, kernel), divisor_override=1, **options)
        mean = F.avg_pool2d(ones, (1, kernel), count_include_pad=count_include_pad, **options)
        assert counts == (ones_seen / mean).round().int().flatten().tolist()


ONE = (1, 1)
NONE = (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: geometry.resolve_padding("same", (3, 3), (2, 2)),
            "[conv2d] padding='same' needs stride 1, got stride (2, 2)",
        ),
        (
            lambda: geometry.resolve_padding("full", (3, 3), ONE, who="unfold"),
            "[unfold] padding must be an integer, a pair, 'same' or 'valid', got 'full'",
        ),
        (
            lambda: geometry.resolve_padding((1, -1), (3, 3), ONE),
            "[conv2d] padding must be at least 0, got (1, -1)",
        ),
        (
            lambda: geometry.check_conv((1, 3, 7, 7), (4, 3, 11, 11), None, ONE, NONE, ONE, 1),
            "[conv2d] the kernel (11, 11) is larger than the padded input (7, 7)",
        ),
        (
            lambda: geometry.check_conv((1, 3, 7, 7), (4, 3, 3, 3), None, ONE, NONE, (4, 1), 1),
            "[conv2d] the kernel (3, 3), which dilation (4, 1) stretches to (9, 3), is larger",
        ),
        (
            lambda: geometry.check_conv((3, 7, 7), (4, 3, 3, 3), None, ONE, NONE, ONE, 1),
            "[conv2d] expects images of shape (N, C, H, W), got 3 dimensions: (3, 7, 7)",
        ),
        (
            lambda: geometry.check_conv((1, 3, 7, 7), (4, 3, 3), None, ONE, NONE, ONE, 1),
            "[conv2d] expects a weight of shape (O, C/groups, KH, KW), got (4, 3, 3)",
        ),
        (
            lambda: geometry.check_conv((1, 4, 7, 7), (4, 2, 3, 3), None, ONE, NONE, ONE, 3),
            "[conv2d] groups (3) must be positive and divide both the input channels (4)",
        ),
        (
            lambda: geometry.check_conv((1, 4, 7, 7), (4, 3, 3, 3), None, ONE, NONE, ONE, 2),
            "takes 6 input channels, but the input (1, 4, 7, 7) has 4",
        ),
        (
            lambda: geometry.check_conv((1, 3, 7, 7), (4, 3, 3, 3), (3,), ONE, NONE, ONE, 1),
            "[conv2d] the bias must have shape (4,), one number an output channel, got (3,)",
        ),
        (
            lambda: geometry.check_conv((1, 3, 7, 7), (4, 3, 3, 3), None, (0, 1), NONE, ONE, 1),
            "[conv2d] stride must be at least 1, got (0, 1)",
        ),
        (
            lambda: geometry.check_pool((1, 1, 9, 9), (2, 2), ONE, (2, 2, 2, 2)),
            "[max_pool2d] padding (2, 2) must be at most half the kernel size (2, 2)",
        ),
        (
            lambda: geometry.check_pool((1, 1, 9, 9), (4, 4), ONE, (0, 3, 0, 0), who="avg_pool2d"),
            "[avg_pool2d] padding (0, 3, 0, 0) (top, bottom, left, right) must be at most half",
        ),
        (
            lambda: geometry.check_fold((1, 9, 4), (1, 1, 4, 5), (3, 3), ONE, NONE, ONE),
            "need columns of shape (N, C*KH*KW, OH*OW) = (1, 9, 6), got (1, 9, 4)",
        ),
    ],
)
def test_errors_say_who_what_and_why(call, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError) as error:
        call()
    assert message in str(error.value)


def test_checks_accept_what_is_right() -> None:
    geometry.check_conv((0, 4, 7, 9), (6, 2, 3, 5), (6,), (2, 1), (1, 1, 2, 2), (2, 1), 2)
    geometry.check_pool((2, 3, 2, 2), (3, 3), (2, 2), (1, 1, 1, 1), ceil_mode=True)
    geometry.check_fold((2, 27, 6), (2, 3, 4, 5), (3, 3), ONE, NONE, ONE)
