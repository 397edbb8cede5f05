"""`gradcheck`: is this gradient right, and if not, what is wrong with it?

For a random cotangent v, backward gives the gradient of <v, f(x)>. The checker computes the same
numbers without calculus and compares element by element. A wrong gradient is nearly always wrong in
one of a few ways: a sign, a factor, a transposition, an offset, a window that is one too short. It
tries those on the numbers, compares which input reaches which output, and says what explains it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad import backend, dtypes
from minigrad.autograd import no_grad
from minigrad.tensor import Tensor

METHODS = ("central", "complex")
LARGEST_JACOBIAN = 1_000_000  # elements; beyond, a wrong gradient is reported without its cause

Agree = Callable[[np.ndarray, np.ndarray], bool]


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
            likely cause. Or `fn` returns something else each time.
        ValueError: an input to check is not float64, or there is none, or fn is not analytic.

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

    def agree(x: np.ndarray, y: np.ndarray) -> bool:
        return bool(np.allclose(x, y, rtol=rtol, atol=atol))

    rng = np.random.default_rng(seed)
    for o, output in enumerate(_outputs(fn, inputs)):
        if not output.requires_grad:
            continue
        f = _Map(fn, inputs, o, method, eps)
        if not np.array_equal(f(inputs), f(inputs), equal_nan=True):
            raise GradcheckError(f"output {o} differs from call to call: seed fn within itself")
        v = rng.standard_normal(output.shape)
        (analytic,) = f.gradients(checked, [v])
        for i, gradient in zip(checked, analytic, strict=True):
            where = f"output {o} with respect to input {i}, of shape {tuple(inputs[i].shape)}"
            if gradient.size <= every:
                _compare_elements(f, i, v, gradient, where, agree)
            else:
                _compare_directions(f, i, v, gradient, where, agree, rng)
    return True


def _outputs(fn: Callable[..., Any], inputs: Sequence[Any]) -> list[Tensor]:
    result = fn(*inputs)
    results = result if isinstance(result, (tuple, list)) else [result]
    return [x for x in results if isinstance(x, Tensor) and dtypes.is_floating_point(x.dtype)]


@dataclass
class _Map:
    """One output of `fn`: differentiated by backward, and by taking small steps."""

    fn: Callable[..., Any]
    inputs: list[Any]
    output: int
    method: str
    eps: float

    def __call__(self, inputs: list[Any]) -> np.ndarray:
        with no_grad():
            return backend.to_device(_outputs(self.fn, inputs)[self.output].array, backend.CPU)

    def gradients(
        self, checked: list[int], weights: Sequence[np.ndarray]
    ) -> Iterator[list[np.ndarray]]:
        """For each v among the weights, the gradients of <v, f> by backward."""
        leaves = [  # fresh ones: nothing accumulates in the caller's
            Tensor(x.array.copy(), requires_grad=True) if i in checked else x
            for i, x in enumerate(self.inputs)
        ]
        output = _outputs(self.fn, leaves)[self.output]
        for v in weights:
            for i in checked:
                leaves[i].grad = None
            output.backward(Tensor(backend.to_device(v, output.device)), retain_graph=True)
            yield [
                np.zeros(leaf.shape) if leaf.grad is None
                else backend.to_device(leaf.grad.array, backend.CPU)
                for leaf in (leaves[i] for i in checked)
            ]

    def change(self, i: int, direction: np.ndarray) -> np.ndarray:
        """The derivative of the output when input i moves along `direction`."""
        x = self.inputs[i].array
        d = backend.to_device(direction, backend.device_of(x))
        if self.method == "central":
            ahead, behind = (self(self._moved(i, x + step * d)) for step in (self.eps, -self.eps))
            return (ahead - behind) / (2 * self.eps)
        y = self(self._moved(i, x + 1e-20j * d))
        if y.dtype.kind != "c":
            raise ValueError(f"the imaginary part was lost on the way to output {self.output}: "
                             "fn is not analytic, use method='central'")
        return y.imag / 1e-20

    def _moved(self, i: int, array: Any) -> list[Any]:
        def as_complex(x: Any) -> Any:
            floats = self.method == "complex" and isinstance(x, Tensor) and x.is_floating_point()
            return Tensor(x.array + 0j) if floats else x

        return [Tensor(array) if j == i else as_complex(x) for j, x in enumerate(self.inputs)]

    def changes(self, i: int) -> Iterator[np.ndarray]:
        """`change` for each element of input i."""
        for unit in _units(self.inputs[i].shape):
            yield self.change(i, unit)


def _units(shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    for index in np.ndindex(*shape):
        unit = np.zeros(shape)
        unit[index] = 1.0
        yield unit


def _compare_directions(
    f: _Map, i: int, v: np.ndarray, a: np.ndarray, where: str, agree: Agree,
    rng: np.random.Generator,
) -> None:
    for _ in range(5):
        direction = rng.standard_normal(a.shape)
        analytic, numerical = (a * direction).sum(), (f.change(i, direction) * v).sum()
        if not agree(analytic, numerical):
            ratio = f", {analytic / numerical:.6g} times as much" if numerical else ""
            raise GradcheckError(
                f"the gradient of {where} is wrong: along a random direction analytic "
                f"{analytic:.6g}, numerical {numerical:.6g}{ratio}. Check a smaller input to see "
                "which elements are wrong, and why."
            )


def _compare_elements(
    f: _Map, i: int, v: np.ndarray, a: np.ndarray, where: str, agree: Agree
) -> None:
    n = np.array([(change * v).sum() for change in f.changes(i)]).reshape(a.shape)
    if agree(a, n):
        return
    error = np.nan_to_num(np.abs(a - n), nan=np.inf)
    worst = tuple(map(int, np.unravel_index(np.argmax(error), a.shape)))
    wrong = sum(not agree(x, y) for x, y in zip(a.flat, n.flat, strict=True))
    cause = _cause(a, n, agree) or _wrong_window(f, i, v.shape, agree)
    raise GradcheckError(
        f"the gradient of {where} is wrong in {wrong} of {a.size} elements. Worst at {worst}: "
        f"analytic {a[worst]:.6g}, numerical {n[worst]:.6g}. "
        + (f"Likely cause: {cause}." if cause else
           "No usual cause (sign, scale, transpose, zero, offset, window) explains it.")
    )


def _cause(a: np.ndarray, n: np.ndarray, agree: Agree) -> str:
    """The usual mistake that turns the gradient n into a, if there is one."""
    if not np.isfinite(a).all():
        return "backward returns NaN or infinity"
    if not a.any():
        return "it is zero; backward drops this input, or it was detached"
    if agree(-a, n):
        return "the sign; backward returns the negative"
    factor = float((a * n).sum() / (n * n).sum()) if n.any() else 0.0
    if factor and agree(a / factor, n):
        return f"a scale; backward returns {factor:.6g} times the gradient"
    for axes in itertools.permutations(range(a.ndim)):
        moved = n.transpose(axes)
        if moved.shape == a.shape and agree(a, moved):
            return f"a transpose; it is the gradient with its axes in the order {axes}"
    for axis, step in itertools.product(range(a.ndim), (1, -1)):
        if agree(a, np.roll(n, step, axis)):
            return f"an offset; it is the gradient moved by {step:+d} along axis {axis}"
    return ""


def _wrong_window(f: _Map, i: int, out_shape: tuple[int, ...], agree: Agree) -> str:
    """Whether backward sees other inputs behind an output than those that it depends on.

    The Jacobian by columns (move an input, see which outputs change) is compared with the Jacobian
    by rows (send a gradient into one output, see which inputs receive some).
    """
    in_shape = tuple(f.inputs[i].shape)
    if np.prod(in_shape) * np.prod(out_shape) > LARGEST_JACOBIAN:
        return ""
    n = np.stack([change.ravel() for change in f.changes(i)], axis=1)  # (outputs, inputs)
    a = np.stack([gx.ravel() for (gx,) in f.gradients([i], list(_units(out_shape)))])
    depends, reached = (np.abs(x) > 1e-6 * np.abs(n).max() for x in (n, a))
    if agree(a[depends == reached], n[depends == reached]):
        for pairs, what in (
            (depends & ~reached, "nothing flows from output {} to input {}, on which it depends"),
            (reached & ~depends, "some flows from output {} to input {}, which does not matter"),
        ):
            if pairs.any():
                return f"a window; {_described(pairs, what, out_shape, in_shape)}"
    return ""


def _described(
    pairs: np.ndarray, what: str, out_shape: tuple[int, ...], in_shape: tuple[int, ...]
) -> str:
    """`what`, said of the first (output, input); how many there are, and how far apart."""
    outs, ins = (
        np.stack(np.unravel_index(flat, shape), axis=1).reshape(len(flat), len(shape))
        for flat, shape in zip(np.nonzero(pairs), (out_shape, in_shape), strict=True)
    )
    words = f"1 of {len(outs)} such pairs"
    if len(out_shape) == len(in_shape) and (outs - ins == outs[0] - ins[0]).all():
        steps = [f"{d:+d} along axis {k}" for k, d in enumerate(outs[0] - ins[0]) if d]
        words += f", each {' and '.join(steps)}" if steps else ""
    first = what.format(tuple(outs[0].tolist()), tuple(ins[0].tolist()))
    return f"{first} ({words})"
