"""`gradcheck`: is this gradient right, and if not, what is wrong with it?

For a random cotangent v, backward gives the gradient of <v, f(x)>. The checker computes the same
numbers without calculus and compares element by element. A wrong gradient is nearly always wrong
in one of a few ways (a sign, a factor, a transposition, a window that is off by one), so it tries
those on the numbers and says which of them explains the difference.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad import backend, dtypes
from minigrad.autograd import no_grad
from minigrad.tensor import Tensor

METHODS = ("central", "complex")


class GradcheckError(AssertionError):
    """An analytic gradient that disagrees with the numerical one."""


def gradcheck(
    fn: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    *,
    method: str = "central",
    every: int = 1000,
    seed: int = 0,
) -> bool:
    """Compare the gradients that `fn` records with numerical ones.

    Args:
        fn: takes `inputs`, returns one Tensor (or several; each with a gradient is checked).
        inputs: those with requires_grad are checked; they must be float64.
        eps: the step of the central difference (f(x + eps) - f(x - eps)) / 2 eps. Inputs must be
            further than that from kinks, such as ReLU's at 0 and ties of a maximum.
        atol, rtol: |analytic - numerical| <= atol + rtol |numerical| must hold.
        method: "central", or "complex": the imaginary part of f(x + ih) / h with h = 1e-20, which
            subtracts nothing and so is exact to rounding. For analytic functions only.
        every: inputs of more elements than this are checked along random directions instead.
        seed: of the cotangents and directions.

    Returns:
        True.

    Raises:
        GradcheckError: a gradient is wrong; names the input, the element, both values, and the
            likely cause.
        ValueError: an input to check is not float64, or there is none.

    Sources: PyTorch, `torch.autograd.gradcheck`; Squire and Trapp (1998) for the complex step.
    """
    inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    checked = [i for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]
    if not checked:
        raise ValueError("gradcheck expects at least one input with requires_grad=True")
    if method not in METHODS:
        raise ValueError(f"gradcheck knows the methods {METHODS}, not {method!r}")
    for i in checked:
        if inputs[i].dtype != dtypes.float64:
            raise ValueError(f"gradcheck needs float64 inputs, but input {i} is {inputs[i].dtype}")
    rng = np.random.default_rng(seed)
    outputs = _outputs(fn, inputs)
    for o, output in enumerate(outputs):
        if not output.requires_grad:
            continue
        v = rng.standard_normal(output.shape)
        analytic = _analytic(fn, inputs, checked, o, v)
        for i, gradient in zip(checked, analytic, strict=True):
            value = _values_along(fn, inputs, i, o, v, eps, method)
            where = f"output {o} with respect to input {i}, of shape {tuple(inputs[i].shape)}"
            if gradient.size <= every:
                _compare(gradient, _each_element(value, gradient.shape), atol, rtol, where)
            else:
                _compare_directions(gradient, value, rng, atol, rtol, where)
    return True


def _outputs(fn: Callable[..., Any], inputs: list[Any]) -> list[Tensor]:
    result = fn(*inputs)
    results = result if isinstance(result, (tuple, list)) else [result]
    return [x for x in results if isinstance(x, Tensor) and dtypes.is_floating_point(x.dtype)]


def _analytic(
    fn: Callable[..., Any], inputs: list[Any], checked: list[int], o: int, v: np.ndarray
) -> list[np.ndarray]:
    """The gradients of <v, f(x)> by backward, from fresh leaves so that none accumulates."""
    leaves = [
        Tensor(x.array.copy(), requires_grad=True) if i in checked else x
        for i, x in enumerate(inputs)
    ]
    output = _outputs(fn, leaves)[o]
    output.backward(Tensor(backend.to_device(v, output.device)))
    return [
        np.zeros(leaves[i].shape) if g is None else backend.to_device(g.array, backend.CPU)
        for i in checked
        for g in [leaves[i].grad]
    ]


def _values_along(
    fn: Callable[..., Any], inputs: list[Any], i: int, o: int, v: np.ndarray, eps: float,
    method: str,
) -> Callable[[np.ndarray], float]:
    """d -> the derivative of <v, f(x)> when input i moves along d."""
    x = inputs[i].array

    def as_complex(a: Any) -> Any:
        floats = method == "complex" and isinstance(a, Tensor) and a.is_floating_point()
        return Tensor(a.array + 0j) if floats else a

    def value(moved: Any) -> Any:
        with no_grad():
            changed = [Tensor(moved) if j == i else as_complex(a) for j, a in enumerate(inputs)]
            y = backend.to_device(_outputs(fn, changed)[o].array, backend.CPU)
        return (y * v).sum()

    def derivative(direction: np.ndarray) -> float:
        d = backend.to_device(direction, backend.device_of(x))
        if method == "complex":
            return float(value(x + 1e-20j * d).imag / 1e-20)
        return float((value(x + eps * d) - value(x - eps * d)) / (2 * eps))

    return derivative


def _each_element(value: Callable[[np.ndarray], float], shape: tuple[int, ...]) -> np.ndarray:
    numerical = np.empty(shape)
    for index in np.ndindex(*shape):
        direction = np.zeros(shape)
        direction[index] = 1.0
        numerical[index] = value(direction)
    return numerical


def _compare(a: np.ndarray, n: np.ndarray, atol: float, rtol: float, where: str) -> None:
    def agree(x: np.ndarray, y: np.ndarray) -> bool:
        return bool(np.allclose(x, y, rtol=rtol, atol=atol))

    if agree(a, n):
        return
    error = np.abs(a - n)
    worst = tuple(map(int, np.unravel_index(np.argmax(np.nan_to_num(error, nan=np.inf)), a.shape)))
    wrong = int((~np.isclose(a, n, rtol=rtol, atol=atol)).sum())
    raise GradcheckError(
        f"the gradient of {where} is wrong in {wrong} of {a.size} elements. Worst at {worst}: "
        f"analytic {a[worst]:.6g}, numerical {n[worst]:.6g}. {_diagnosis(a, n, agree)}"
    )


def _diagnosis(a: np.ndarray, n: np.ndarray, agree: Callable[..., bool]) -> str:
    """The first of the usual mistakes that turns one gradient into the other."""
    if not np.isfinite(a).all():
        return "Likely cause: backward returns NaN or infinity."
    if not a.any():
        return "Likely cause: it is zero: backward drops this input, or it was detached."
    if agree(-a, n):
        return "Likely cause: the sign; backward returns its negative."
    factor = float((a * n).sum() / (n * n).sum()) if n.any() else 0.0
    if factor and agree(a / factor, n):
        return f"Likely cause: a scale; backward returns {factor:.6g} times the gradient."
    for axes in itertools.permutations(range(a.ndim)):
        if axes != tuple(range(a.ndim)) and n.transpose(axes).shape == a.shape:
            if agree(a, n.transpose(axes)):
                return f"Likely cause: a transpose; it is the gradient with axes {axes}."
    for axis in range(a.ndim):
        for step in (1, -1):
            inner = tuple(
                slice(1, -1) if i == axis and a.shape[i] > 3 else slice(None)
                for i in range(a.ndim)
            )
            if a.shape[axis] > 1 and agree(a[inner], np.roll(n, step, axis)[inner]):
                return f"Likely cause: an offset; it is moved by {step:+d} along axis {axis}."
    edges = _off_by_one(a, n, agree)
    if edges:
        return edges
    return "No usual cause (sign, scale, transpose, zero, offset) explains it."


def _off_by_one(a: np.ndarray, n: np.ndarray, agree: Callable[..., bool]) -> str:
    """A window that is one too short or too long shows as one missing or extra neighbour."""
    for axis in range(a.ndim):
        size = a.shape[axis]
        if size > 2 and not agree(a, n):
            right = [i for i in range(size) if agree(a.take(i, axis), n.take(i, axis))]
            if 0 < len(right) < size and right in (
                list(range(right[0], size)), list(range(right[-1] + 1))
            ):
                side = "start" if right[-1] == size - 1 else "end"
                return (
                    f"Likely cause: a window off by one; along axis {axis} only the {side} is wrong."
                )
    return ""


def _compare_directions(
    a: np.ndarray, value: Callable[[np.ndarray], float], rng: np.random.Generator, atol: float,
    rtol: float, where: str,
) -> None:
    for _ in range(5):
        direction = rng.standard_normal(a.shape)
        analytic, numerical = float((a * direction).sum()), value(direction)
        if not abs(analytic - numerical) <= atol + rtol * abs(numerical):
            ratio = f", {analytic / numerical:.6g} times as much" if numerical else ""
            raise GradcheckError(
                f"the gradient of {where} is wrong: along a random direction analytic "
                f"{analytic:.6g}, numerical {numerical:.6g}{ratio}. Check a smaller input to see "
                "which elements are wrong, and why."
            )
