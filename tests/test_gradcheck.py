"""Who checks the checker: wrong gradients must be rejected, and named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import ops
from minigrad.autograd import Function
from minigrad.gradcheck import GradcheckError, gradcheck
from minigrad.kernels import cpu
from minigrad.ops.norm import LocalResponseNorm
from minigrad.ops.pool import AvgPool2d, MaxPool2d

METHODS = ["central", "complex"]


def random(*shape: int, device: str = "cpu") -> mg.Tensor:
    return mg.randn(*shape, dtype=mg.float64, device=device, requires_grad=True)


class Cube(Function):
    """y = x^3 with a backward that can be spoilt."""

    def forward(self, x: Any, *, spoil: Any) -> Any:
        self.save_for_backward(x)
        self.spoil = spoil
        return x * x * x

    def backward(self, g: Any) -> Any:
        (x,) = self.saved_tensors
        return self.spoil(3 * x * x * g)


# ------------------------------------------------------------------------------ what it lets pass


@pytest.mark.parametrize("method", METHODS)
def test_right_gradients_pass(method: str, device: str) -> None:
    x, w = random(3, 4, device=device), random(4, 2, device=device)
    assert gradcheck(lambda x, w: (x @ w).tanh(), [x, w], method=method)
    assert gradcheck(ops.exp, x, method=method)
    assert x.grad is None, "the check must leave no gradient behind"


def test_every_output_is_checked() -> None:
    def fn(x: mg.Tensor) -> Any:
        return x * 2, x.detach(), x.argmax(), Cube.apply(x, spoil=np.negative)

    with pytest.raises(GradcheckError, match="output 2 with respect to input 0.*sign"):
        gradcheck(fn, random(3))


def test_an_input_that_does_not_matter() -> None:
    assert gradcheck(lambda x, y: x * 2, [random(3), random(2)])


@pytest.mark.parametrize("method", METHODS)
def test_large_inputs_are_checked_along_directions(method: str) -> None:
    x = random(40, 30)
    assert gradcheck(lambda x: Cube.apply(x, spoil=lambda gx: gx), x, method=method)
    with pytest.raises(GradcheckError, match="random direction.*2 times as much.*smaller input"):
        gradcheck(lambda x: Cube.apply(x, spoil=lambda gx: 2 * gx), x, method=method)


def test_the_complex_step_sees_what_differences_do_not() -> None:
    """A gradient that is wrong in the ninth digit."""

    def fn(x: mg.Tensor) -> mg.Tensor:
        return Cube.apply(x, spoil=lambda gx: gx * (1 + 1e-9))

    x = random(3)
    assert gradcheck(fn, x, atol=0, rtol=1e-6)
    with pytest.raises(GradcheckError, match="scale"):
        gradcheck(fn, x, atol=0, rtol=1e-12, method="complex")


# ---------------------------------------------------------------------------- what it cannot check


def test_mistakes_of_the_caller() -> None:
    with pytest.raises(ValueError, match="at least one input with requires_grad"):
        gradcheck(ops.exp, mg.ones(2, dtype=mg.float64))
    with pytest.raises(ValueError, match="float64 inputs, but input 1 is float32"):
        gradcheck(ops.mul, [random(2), mg.ones(2, requires_grad=True)])
    with pytest.raises(ValueError, match="'central', 'complex'.*not 'forward'"):
        gradcheck(ops.exp, random(2), method="forward")
    with pytest.raises(ValueError, match=r"imaginary part was lost.*'central'"):
        gradcheck(ops.abs, random(2), method="complex")
    with pytest.raises(GradcheckError, match="differs from call to call"):
        gradcheck(lambda x: x * mg.rand(3, dtype=mg.float64), random(3))


# --------------------------------------------------------------------------------- what it rejects


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("spoil", "cause"),
    [
        pytest.param(np.negative, "the sign", id="sign"),
        pytest.param(lambda gx: 2 * gx, "a scale; backward returns 2 times", id="double"),
        pytest.param(lambda gx: gx / 9, "a scale; backward returns 0.111111 times", id="mean"),
        pytest.param(lambda gx: -0.5 * gx, "a scale; backward returns -0.5 times", id="minus-half"),
        pytest.param(lambda gx: gx.T.copy(), r"a transpose; .* order \(1, 0\)", id="transpose"),
        pytest.param(np.zeros_like, "it is zero", id="zero"),
        pytest.param(lambda gx: gx * np.nan, "NaN or infinity", id="nan"),
        pytest.param(lambda gx: np.roll(gx, 1, axis=1), r"an offset; .* \+1 along axis 1",
                     id="offset"),
        pytest.param(lambda gx: gx + 1, r"No usual cause \(sign, scale", id="other"),
    ],
)
def test_spoilt_gradients_are_named(spoil: Any, cause: str, method: str) -> None:
    with pytest.raises(GradcheckError, match=rf"wrong in \d of 9 elements.*{cause}"):
        gradcheck(lambda x: Cube.apply(x, spoil=spoil), random(3, 3), method=method)


def test_the_worst_element_is_shown() -> None:
    def spoil(gx: np.ndarray) -> np.ndarray:
        gx[1, 2] = 100.0
        return gx

    with pytest.raises(GradcheckError, match=r"in 1 of 6 .* Worst at \(1, 2\): analytic 100, "):
        gradcheck(lambda x: Cube.apply(x, spoil=spoil), random(2, 3))


def test_a_forgotten_input_is_named() -> None:
    with pytest.raises(GradcheckError, match="input 1.*it is zero"):
        gradcheck(lambda x, y: x * y.detach(), [random(3), random(3)])


# ------------------------------------------------------------- windows: LRN, the usual place for it


class Normalised(LocalResponseNorm):
    """LRN whose backward sums over the channels from c - before to c + after, right or wrong."""

    before, after = 2, 2

    def backward(self, g: Any) -> Any:
        (x,) = self.saved_tensors
        size, alpha, beta, k = self.options
        channels = x.shape[1]

        def window(c: int, before: int, after: int) -> slice:
            return slice(max(c - before, 0), min(c + after, channels - 1) + 1)

        s = np.stack([
            k + alpha / size * (x[:, window(c, size // 2, (size - 1) // 2)] ** 2).sum(axis=1)
            for c in range(channels)
        ], axis=1)
        back = g * x * s ** (-beta - 1)
        around = np.stack([
            back[:, window(c, self.before, self.after)].sum(axis=1) for c in range(channels)
        ], axis=1)
        return g * s**-beta - 2 * alpha * beta / size * x * around


def normalised(size: int, before: int, after: int, alpha: float) -> Any:
    function = type("Off", (Normalised,), {"before": before, "after": after})
    return lambda x: function.apply(x, size=size, alpha=alpha, beta=0.75, k=1.0)


CHANNELS = {"C<size": 3, "C=size": 5, "C>size": 9}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("alpha", [0.5, 2.0])
@pytest.mark.parametrize("channels", CHANNELS.values(), ids=CHANNELS)
def test_lrn_windows_off_by_one_are_named(channels: int, alpha: float, method: str) -> None:
    x = random(2, channels, 2)
    assert gradcheck(normalised(5, 2, 2, alpha), x, method=method)
    with pytest.raises(GradcheckError, match=r"window; nothing flows.* each \+2 along axis 1"):
        gradcheck(normalised(5, 2, 1, alpha), x, method=method)
    with pytest.raises(GradcheckError, match="window; nothing flows.* each -2 along axis 1"):
        gradcheck(normalised(5, 1, 2, alpha), x, method=method)
    with pytest.raises(GradcheckError, match="window; nothing flows"):
        gradcheck(normalised(5, 1, 1, alpha), x, method=method)
    if channels > 3:  # with three channels, a wider window has nothing more to see
        with pytest.raises(GradcheckError, match=r"window; some flows.* each \+3 along axis 1"):
            gradcheck(normalised(5, 2, 3, alpha), x, method=method)


def test_the_mirrored_window_of_an_even_size_is_named() -> None:
    """Size 4 reaches 2 down and 1 up; its backward, the other way round."""
    x = random(2, 7, 1)
    assert gradcheck(normalised(4, 1, 2, 1.0), x)
    with pytest.raises(GradcheckError, match=r"window; nothing flows.* each \+2 along axis 1"):
        gradcheck(normalised(4, 2, 1, 1.0), x)


# ----------------------------------------------------------------------- windows: a pool's last tap


class MaxPoolWithoutLastTap(MaxPool2d):
    def backward(self, g: Any) -> Any:
        (code,) = self.saved_tensors
        return cpu.max_pool2d_backward(g * (code != 8), code, self.x_shape, *self.options)


class AvgPoolWithoutLastTap(AvgPool2d):
    def backward(self, g: Any) -> Any:
        taps = np.ones((1, 1, 9, 1)) / 9
        taps[0, 0, 8] = 0
        n, c, h, w = g.shape
        columns = (g.reshape(n, c, 1, h * w) * taps).reshape(n, c * 9, h * w)
        kernel_size, stride, pad, *_ = self.options
        return cpu.fold(columns, self.x_shape, kernel_size, stride, pad, (1, 1))


OPTIONS = {"kernel_size": (3, 3), "stride": (2, 2), "pad": (0, 0, 0, 0), "ceil_mode": False}


def test_a_pool_without_its_last_tap_is_named() -> None:
    numbers = np.random.default_rng(0).permutation(98).reshape(1, 2, 7, 7) / 8
    x = mg.tensor(numbers, requires_grad=True)
    extra = {"dilation": (1, 1), "return_indices": False}
    with pytest.raises(GradcheckError, match=r"window; nothing flows from output \(0, 0, 0, 0\)"):
        gradcheck(lambda x: MaxPoolWithoutLastTap.apply(x, **OPTIONS, **extra)[0], x)
    extra = {"count_include_pad": True, "divisor_override": None}
    with pytest.raises(
        GradcheckError, match=r"output \(0, 0, 0, 0\) to input \(0, 0, 2, 2\).*\(1 of 18 such"
    ):
        gradcheck(lambda x: AvgPoolWithoutLastTap.apply(x, **OPTIONS, **extra), x)
