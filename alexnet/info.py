"""`alexnet info`: what is installed, what it computes with, where the data are, and what is
missing.

Everything that a report of a problem should contain.
"""

from __future__ import annotations

import argparse
import os
import platform

import minigrad
from alexnet import datasets
from alexnet.console import say
from alexnet.environment import blas, extras, versions
from alexnet.precision import no_tf32
from minigrad import backend
from minigrad.cuda import diagnose


def command(args: argparse.Namespace) -> int:
    """Print it."""
    for name, version in {**versions(), **extras()}.items():
        say(f"{name:14} {version or f'missing: pip install {name}'}")
    say(
        "",
        f"{'platform':14} {platform.platform()}",
        f"{'cores':14} {os.cpu_count()}",
        f"{'threads':14} {minigrad.get_num_threads()} (MINIGRAD_NUM_THREADS changes it)",
        f"{'BLAS':14} {blas()}",
        f"{'GPU':14} {gpu()}",
        f"{'precisions':14} {precisions()}",
        f"{'Fashion-MNIST':14} {data(args.data_dir)}",
    )
    return 0


def gpu() -> str:
    """The GPUs by name, and what computes on them; or why there is none."""
    problem = backend.cuda_problem()
    if problem:
        return f"none: {problem}"
    names = ", ".join(
        f"cuda:{index} {minigrad.cuda.get_device_name(f'cuda:{index}')}"
        for index in range(minigrad.cuda.device_count())
    )
    return f"{names}; {cuda()}"


def cuda() -> str:
    """The versions below CuPy, and a warning where two of its wheels share a folder."""
    known, found, runtime = diagnose.driver(), diagnose.wheels(), backend.cupy().cuda.runtime
    made_for = divmod(runtime.runtimeGetVersion() // 10, 100)
    newest = diagnose.dotted(known.cuda) if known else "?"
    twice = "" if len(found) < 2 else f"; {' and '.join(found)} overwrite each other: keep one"
    return f"driver for CUDA up to {newest}, CuPy's CUDA {diagnose.dotted(made_for)}{twice}"


def precisions() -> str:
    """What `alexnet train --precision` takes here, and what is missing for the rest."""
    bf16 = "bf16" if extras().get("ml_dtypes") else "bf16 (missing: pip install ml_dtypes)"
    why = "only on a GPU" if backend.cuda_problem() else no_tf32()
    tf32 = f"tf32 ({why})" if why else "tf32"
    return f"fp32, {tf32}, fp16, {bf16}"


def data(data_dir: str | None) -> str:
    """Where the files are, or how to get them. Nothing is downloaded."""
    try:
        return str(datasets.fashion_mnist_dir(data_dir, download=False))
    except datasets.DatasetError as error:
        return f"not on this machine ({error})"
