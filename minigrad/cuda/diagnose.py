"""Why no GPU can be used, in one line that says what is wrong and what to type.

CuPy's own errors name the symptom ("CUDA driver version is insufficient"), which four different
causes share. So the causes are looked for: which wheels are installed, whether there is a driver,
which CUDA it knows and which GPUs it has. CuPy is not needed for that, and is not imported here:
`backend.py` tries it, and brings the error.
"""

from __future__ import annotations

import ctypes
import re
import sys
from dataclasses import dataclass
from importlib import metadata

CPU = "or use --device cpu"
LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
NO_DEVICE = 100  # of cuda.h, as are the next two
CAPABILITY_MAJOR, CAPABILITY_MINOR = 75, 76
LOWEST = {12: (5, 0), 13: (7, 5)}  # compute capability, that CUDA's compiler still knows


@dataclass(frozen=True)
class Driver:
    """What NVIDIA's driver says of itself.

    Attributes:
        cuda: the newest CUDA it can run, as (major, minor).
        status: what it answered to the first call: 0, or the number of an error.
        gpus: name and compute capability of each.
    """

    cuda: tuple[int, int]
    status: int = 0
    gpus: tuple[tuple[str, tuple[int, int]], ...] = ()


def explain(error: BaseException) -> str:
    """Why an array could not be allocated on a GPU; `error` is what CuPy raised when it tried."""
    found = wheels()
    if isinstance(error, ModuleNotFoundError) and error.name == "cupy":
        return f"CuPy is not installed: {install(driver())}, {CPU}"
    if len(found) > 1:
        return (
            f"{len(found)} CuPy wheels are installed, which overwrite each other's files "
            f"({' and '.join(found)}): pip uninstall -y {' '.join(found)}; then {install(driver())}"
        )
    reason = reason_of(error)
    if isinstance(error, ImportError):
        return f"CuPy is installed but does not import ({reason}): {again(found)}, {CPU}"
    return no_gpu(driver(), cuda_of(found)) or not_usable(reason, driver(), found)


def no_gpu(known: Driver | None, needed: int | None) -> str:
    """What is missing below CuPy, which needs CUDA `needed`; empty if nothing is."""
    if known is None:
        return (
            f"there is no NVIDIA driver ({LIBRARY} is not found): install one, and check that "
            f"nvidia-smi lists a GPU, {CPU}"
        )
    if known.status == NO_DEVICE or (not known.status and not known.gpus):
        return (
            "the NVIDIA driver sees no GPU: check that nvidia-smi lists one, and that "
            f"CUDA_VISIBLE_DEVICES does not hide it, {CPU}"
        )
    if known.status:
        return (
            f"the NVIDIA driver does not start (CUDA error {known.status}): check that nvidia-smi "
            f"lists a GPU; after an update of the driver, reboot, {CPU}"
        )
    if needed and known.cuda[0] < needed:
        wheel = f"cupy-cuda{needed}x"
        return (
            f"the NVIDIA driver is too old: it runs CUDA {dotted(known.cuda)}, and {wheel} needs "
            f"{needed}: update it, or pip uninstall -y {wheel}; {install(known)}"
        )
    lowest = LOWEST.get(needed or known.cuda[0], (5, 0))
    if all(capability < lowest for _, capability in known.gpus):
        names = ", ".join(f"{name}: {dotted(capability)}" for name, capability in known.gpus)
        older = any(capability >= LOWEST[12] for _, capability in known.gpus)
        other = "pip uninstall -y cupy-cuda13x; pip install 'minigrad[cuda12x]', " if older else ""
        return (
            f"the GPU's compute capability is too low ({names}): CUDA {needed or known.cuda[0]} "
            f"needs {dotted(lowest)}: {other}{CPU}"
        )
    return ""


def not_usable(reason: str, known: Driver | None, found: list[str]) -> str:
    """What is wrong where there are a GPU and a driver for it."""
    if re.search("out of memory|MemoryAllocation", reason, re.IGNORECASE):
        return (
            f"the GPU's memory is full ({reason}): nvidia-smi shows who holds it; end that, or "
            f"choose another GPU with CUDA_VISIBLE_DEVICES, {CPU}"
        )
    if "header" in reason.lower():
        return (
            f"the CUDA headers are missing, without which CuPy compiles nothing ({reason}): "
            f"{again(found)}, or set CUDA_PATH to a CUDA toolkit, {CPU}"
        )
    if re.search(r"\.so|\.dll", reason):
        return f"a CUDA library is missing ({reason}): {again(found)}, {CPU}"
    gpus = ", ".join(name for name, _ in known.gpus) if known else "no driver"
    return f"CuPy cannot use the GPU ({gpus}; {reason}): {again(found)}, {CPU}"


# --------------------------------------------------------------------------------- what is there


def wheels() -> list[str]:
    """The CuPy wheels that are installed: "cupy-cuda13x"; there must be one."""
    names = {(distribution.name or "").lower() for distribution in metadata.distributions()}
    return sorted(name for name in names if re.fullmatch(r"cupy(-cuda\w+|-rocm[\w-]+)?", name))


def driver() -> Driver | None:
    """NVIDIA's driver; None where there is none."""
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError:
        return None
    number, name = ctypes.c_int(), ctypes.create_string_buffer(100)
    library.cuDriverGetVersion(ctypes.byref(number))
    cuda = number.value // 1000, number.value % 1000 // 10
    if status := library.cuInit(0):
        return Driver(cuda, status)
    library.cuDeviceGetCount(ctypes.byref(number))
    gpus = []
    for gpu in range(number.value):
        library.cuDeviceGetName(name, len(name), gpu)
        capability = []
        for attribute in (CAPABILITY_MAJOR, CAPABILITY_MINOR):
            library.cuDeviceGetAttribute(ctypes.byref(number), attribute, gpu)
            capability.append(number.value)
        gpus.append((name.value.decode(), (capability[0], capability[1])))
    return Driver(cuda, 0, tuple(gpus))


def cuda_of(found: list[str]) -> int | None:
    """The CUDA that a wheel was made for: 13 of ["cupy-cuda13x"]; None if its name does not say."""
    numbers = [match[1] for name in found if (match := re.match(r"cupy-cuda(\d\d)x", name))]
    return int(numbers[0]) if numbers else None


def install(known: Driver | None) -> str:
    """What to type for CuPy, if this is the driver that it will meet."""
    if known is None:
        return "pip install 'minigrad[cuda13x]' (CUDA 13) or 'minigrad[cuda12x]' (CUDA 12)"
    return f"pip install 'minigrad[cuda{min(max(known.cuda[0], 12), 13)}x]'"


def again(found: list[str]) -> str:
    """What to type for the parts of CUDA that this wheel needs."""
    return f"pip install '{found[0] if found else 'cupy-cuda13x'}[ctk]'"


def reason_of(error: BaseException) -> str:
    """The line of an error that says most: CuPy draws lines of = around some, and quotes another
    error at their end."""
    lines = [line.strip(" =") for line in str(error).splitlines()]
    lines = [line for line in lines if line]
    if "Original error:" in lines[:-1]:
        return lines[lines.index("Original error:") + 1]
    return lines[0] if lines else type(error).__name__


def dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
