"""The GPU's random numbers, and dropout. The kernels, with their source, stand in `random.cu`.

A `Generator` has what the engine asks of NumPy's. Its state lies in device memory and moves on
there: a captured graph draws new numbers each time, and nothing but `get_state` waits.
"""

from __future__ import annotations

from typing import Any

import cupy
import numpy as np

from minigrad.kernels.cuda.module import contiguous, kernel, launch

Size = int | tuple[int, ...]


class Generator:
    """Random numbers on the current GPU: the same seed gives the same ones again, to the bit."""

    def __init__(self, seed: int) -> None:
        self.state = cupy.empty(3, np.int64)  # seed, and a counter of two words
        self.manual_seed(seed)

    def manual_seed(self, seed: int) -> None:
        """Begin anew from `seed`, of which 64 bits count."""
        self.set_state({"seed": seed, "offset": 0})

    def get_state(self) -> dict[str, int]:
        """The seed, and how many times 128 bits were drawn: what `set_state` goes on from."""
        seed, low, high = (int(word) % 2**64 for word in self.state.get())
        return {"seed": seed, "offset": high << 64 | low}

    def set_state(self, state: dict[str, int]) -> None:
        """Go on from a state that `get_state` returned; graphs that draw from here follow."""
        words = state["seed"], state["offset"], state["offset"] >> 64
        signed = [(word + 2**63) % 2**64 - 2**63 for word in words]
        kernel("seed_numbers")((1,), (1,), (self.state, *signed))

    def take(self, draws: int) -> Any:
        """The state, for someone who computes this many draws from it; others get later ones."""
        taken = cupy.empty(3, np.int64)
        kernel("take_numbers")((1,), (1,), (self.state, taken, draws))
        return taken

    def bits(self, size: int) -> Any:
        """Random numbers of 32 bits."""
        return self._fill("random_bits", None, 4, cupy.empty(size, np.uint32))

    def random(self, size: Size = (), dtype: Any = np.float64) -> Any:
        """Uniform in [0, 1)."""
        return self._fill("random_uniform", dtype, _a_draw(dtype), cupy.empty(size, dtype))

    def uniform(self, low: float = 0.0, high: float = 1.0, size: Size = ()) -> Any:
        """Uniform between low and high."""
        return self.random(size) * (high - low) + low

    def standard_normal(self, size: Size = (), dtype: Any = np.float64) -> Any:
        """Normal, with mean 0 and variance 1."""
        return self._fill("random_normal", dtype, _a_draw(dtype), cupy.empty(size, dtype))

    def integers(self, low: int, high: int | None = None, size: Size = ()) -> Any:
        """From low up to, not including, high; from 0 to low where there is no high."""
        low, high = (0, low) if high is None else (low, high)
        if high <= low:
            raise ValueError(f"no integer is at least {low} and less than {high}")
        return self._fill("random_integers", None, 2, cupy.empty(size, np.int64), low, high - low)

    def permutation(self, n: int) -> Any:
        """The integers 0..n-1 in random order."""
        return cupy.argsort(self.random(n))

    def _fill(self, name: str, dtype: Any, a_draw: int, out: Any, *options: int) -> Any:
        draws = -(-out.size // a_draw)
        function = kernel(name, dtype if dtype is None else np.dtype(dtype))
        launch(function, draws, out, self.take(draws), *options, out.size)
        return out


def dropout(x: Any, p: float, generator: Generator) -> tuple[Any, Any]:
    """(y, mask): each element of x is kept with probability 1 - p, and divided by it, or 0.

    `mask` is none, but the generator's state, from which the backward computes it again.
    """
    counter = generator.take(-(-x.size // 4))
    return dropout_backward(x, counter, p), counter


def dropout_backward(g: Any, mask: Any, p: float) -> Any:
    """gx: what `dropout` made of x, made of g; `mask` is what it returned beside it."""
    gx = cupy.empty(g.shape, g.dtype)
    draws = -(-g.size // 4)
    launch(kernel("dropout", g.dtype), draws, contiguous(g), gx, mask, float(p), g.size)
    return gx


def _a_draw(dtype: Any) -> int:
    return 2 if np.dtype(dtype) == np.float64 else 4
