"""What a run was computed with: versions, BLAS, threads, device. The same seed gives the same bits
only where
these are the same, so they stand in every config.json."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import Any

import minigrad
from alexnet.errors import InputError
from minigrad import backend

STAND_IN = "a stand-in drawn by code, NOT Fashion-MNIST"
LIBRARIES = ("minigrad", "numpy", "safetensors", "tqdm", "threadpoolctl", "matplotlib", "pillow")
EXTRAS = ("ml_dtypes", "onnx", "onnxruntime")  # mentioned only where they are installed


def versions() -> dict[str, str | None]:
    """Python's and each library's version; None where a library is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in LIBRARIES:
        found[name] = _version(name)
    found["minigrad"] = found["minigrad"] or minigrad.__version__  # run from a checkout
    return found


def extras() -> dict[str, str]:
    """The versions of the optional libraries that are installed."""
    return {name: version for name in EXTRAS if (version := _version(name))}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def require_onnx() -> Any:
    """The library onnx, an extra that is loaded only where it is used.

    Raises:
        InputError: it is not installed; says how to get it.
    """
    try:
        import onnx
    except ImportError as error:
        what = "is not installed" if isinstance(error, ModuleNotFoundError) else f"fails: {error}"
        raise InputError(f'the library onnx {what}: pip install "minigrad[onnx]"') from None
    return onnx


def blas() -> str:
    """The library behind NumPy's matrix products: "openblas 0.3.30 (SkylakeX), 2 threads"."""
    from threadpoolctl import threadpool_info

    found = [
        f"{info['internal_api']} {info['version'] or ''}".strip()
        + (f" ({info['architecture']})" if info.get("architecture") else "")
        + f", {info['num_threads']} threads"
        for info in threadpool_info()
        if info["user_api"] == "blas"
    ]
    return "; ".join(dict.fromkeys(found)) or "none that threadpoolctl knows"


def describe() -> dict[str, Any]:
    """All of it, for config.json."""
    return {
        "versions": versions(),
        "platform": platform.platform(),
        "blas": blas(),
        "threads": minigrad.get_num_threads(),
    }


def choose_device(asked: str) -> tuple[backend.Device, str]:
    """The device for `auto`, `cpu` or `cuda`, and the line that says which and why.

    Raises:
        InputError: `cuda` was asked for and cannot be used; says what to do.
    """
    problem = backend.cuda_problem() if asked != "cpu" else ""
    if asked == "cuda" and problem:
        raise InputError(f"--device cuda: {problem}")
    if asked == "cpu" or problem:
        why = f" ({problem})" if problem else ""
        return backend.CPU, f"cpu{why}"
    device = backend.Device("cuda")
    return device, f"{device} ({minigrad.cuda.get_device_name(device)})"
