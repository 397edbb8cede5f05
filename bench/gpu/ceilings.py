"""`python -m bench.gpu.ceilings FILE`: what this very GPU reaches in a product and in a copy.

A large product in each precision, through our own binding of cuBLAS and through PyTorch, in turn;
and a large copy. Operands are random: on zeros a GPU draws less power, and is faster. What a
training step reaches is to be held against these figures, not against a data sheet.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import minigrad
from alexnet.timing import in_turn
from alexnet.twin import MINIGRAD, import_torch
from bench.gpu.results import Results
from bench.gpu.sides import BF16, FP16, FP32, TF32, device_of, each, pin, repeated, summary

SIDE = 8192  # of the matrices
COPIED = 1 << 28  # floats in the copy
CALLS, SECONDS = 5, 2.0  # in a sample; for the samples of one line
TYPES = {FP32: "float32", TF32: "float32", FP16: "float16", BF16: "bfloat16"}
TORCH = "PyTorch"


def gemm() -> Callable[..., None]:
    """Our binding of cuBLAS, which cannot be imported without CuPy."""
    from minigrad.kernels.cuda.cublas import gemm

    return gemm


def product(precision: str, side: int = SIDE) -> dict[str, Any]:
    """FLOP/s of out = a b, all of `side` x `side`, ours and PyTorch's.

    Raises:
        ModuleNotFoundError: minigrad's bfloat16 needs a package that is not installed.
    """
    pin(precision)
    torch, multiply = import_torch(), gemm()
    ours, (x, y, z) = (_three(engine, precision, side) for engine in (minigrad, torch))
    arrays = [tensor.array for tensor in ours]
    works = {
        MINIGRAD: lambda: multiply(*arrays, tf32=precision == TF32),
        TORCH: lambda: torch.mm(x, y, out=z),
    }
    rates = _rates(works, 2 * side**3)
    _agree(ours[2], z, precision)
    return rates


def _three(engine: Any, precision: str, side: int) -> list[Any]:
    """Two random matrices, and a third to be written."""
    dtype, where = getattr(engine, TYPES[precision]), device_of(engine)
    return [engine.randn(side, side, device=where).to(dtype) for _ in range(3)]


def _agree(ours: Any, theirs: Any, precision: str) -> None:
    """Both were written. (Their operands differ, so that only the size of the numbers agrees.)"""
    typical = [(t.float() ** 2).mean().item() ** 0.5 for t in (ours, theirs)]
    if not 0.9 < typical[0] / typical[1] < 1.1:
        raise ArithmeticError(f"{precision}: our product is of size {typical[0]:.3g}, "
                              f"PyTorch's of {typical[1]:.3g}")


def copy(floats: int = COPIED) -> dict[str, Any]:
    """Bytes/s of a copy within the GPU's memory, reading and writing counted."""
    torch = import_torch()
    x, y = (minigrad.randn(floats, device=device_of(minigrad)).array for _ in range(2))
    a, b = (torch.randn(floats, device=device_of(torch)) for _ in range(2))

    def ours() -> None:
        y[...] = x

    return _rates({MINIGRAD: ours, TORCH: lambda: b.copy_(a)}, 2 * 4 * floats)


def _rates(works: dict[str, Callable[[], Any]], amount: int) -> dict[str, Any]:
    """For each engine how much a second, and the seconds."""
    engines = {MINIGRAD: minigrad, TORCH: import_torch()}
    timed = {name: repeated(work, CALLS, engines[name]) for name, work in works.items()}
    samples = in_turn(timed, SECONDS)
    seconds = {name: each(phases["step"], CALLS) for name, phases in samples.items()}
    return {
        name: {"per_second": summary([amount / s for s in values]), "seconds": values}
        for name, values in seconds.items()
    }


def measure(results: Results, side: int = SIDE, floats: int = COPIED) -> None:
    """All lines, each printed and written down as soon as it is there."""
    for precision in TYPES:
        results.add(precision, partial(product, precision, side), _line)
    results.add("copy", lambda: copy(floats), _line)


def _line(name: str, result: dict[str, Any]) -> str:
    unit, scale = ("GB/s", 1e9) if name == "copy" else ("TFLOP/s", 1e12)
    shown = [
        f"{engine} {rate['median'] / scale:.4g} ({rate['min'] / scale:.4g}.."
        f"{rate['max'] / scale:.4g}, n = {rate['n']})"
        for engine, rate in ((e, r["per_second"]) for e, r in result.items())
    ]
    return f"{name:6}{unit:8}{'; '.join(shown)}"


if __name__ == "__main__":
    with Results(Path(sys.argv[1])) as results:
        measure(results)
    sys.exit(results.status)
