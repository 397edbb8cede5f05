"""Where arrays live: NumPy or CuPy, devices, moving between them, and the random generators.

An array's own type says on which device it is; nothing else keeps track. CuPy is imported here,
when a CUDA device is first asked for, and in `kernels/cuda/`, and nowhere else.
Next: `autograd.py`, which records what happens to arrays.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from minigrad import dtypes

Array = np.ndarray  # or its CuPy twin: the two answer to the same methods


class Device:
    """A place for arrays: `Device("cpu")`, `Device("cuda")` or `Device("cuda:1")`.

    Raises:
        ValueError: the name is none of these.
    """

    __slots__ = ("index", "type")

    type: str
    index: int | None

    def __init__(self, name: str | Device, index: int | None = None) -> None:
        if isinstance(name, Device):
            self.type, self.index = name.type, name.index
            return
        kind, _, number = str(name).partition(":")
        if kind not in ("cpu", "cuda") or (number and not number.isdigit()):
            raise ValueError(f"unknown device {name!r}: expected 'cpu', 'cuda' or 'cuda:<index>'")
        self.type = kind
        self.index = int(number) if number else index
        if kind == "cuda" and self.index is None:
            self.index = 0

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        index = "" if self.index is None else f", index={self.index}"
        return f"device(type='{self.type}'{index})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))


CPU = Device("cpu")


def cupy() -> Any:
    """The CuPy module, usable.

    Raises:
        RuntimeError: CuPy is missing or sees no GPU; the message says what to do.
    """
    problem = cuda_problem()
    if problem:
        raise RuntimeError(problem)
    return sys.modules["cupy"]


_cuda_problem: str | None = None
_cuda_probed = False


def cuda_problem() -> str:
    """Why CUDA cannot be used, in one line; empty where one array can really be allocated."""
    global _cuda_problem, _cuda_probed
    if not _cuda_probed:
        _cuda_problem, _cuda_probed = _probe_cuda(), True
    return _cuda_problem or ""


def _probe_cuda() -> str:
    try:
        import cupy
        (cupy.ones(1) + 1).get()
    except Exception as error:  # a broken wheel raises almost anything
        from minigrad.cuda.diagnose import explain  # looks at wheels and the driver
        return explain(error)
    return ""


def is_cupy(array: Any) -> bool:
    """Whether `array` lies on a GPU; never imports CuPy to find out."""
    module = sys.modules.get("cupy")
    return module is not None and isinstance(array, module.ndarray)


def array_module(array: Any) -> Any:
    """`numpy` or `cupy`, whichever `array` belongs to."""
    return sys.modules["cupy"] if is_cupy(array) else np


def device_of(array: Any) -> Device:
    """The device on which `array` lies."""
    return Device("cuda", array.device.id) if is_cupy(array) else CPU


def use_device_of(array: Any) -> AbstractContextManager[Any]:
    """A context in which new arrays land on the GPU where `array` lies; nothing for the CPU."""
    return array.device if is_cupy(array) else nullcontext()


def use_device(device: Device) -> AbstractContextManager[Any]:
    """A context in which new arrays of CuPy land on `device`; nothing for the CPU.

    Raises:
        RuntimeError: there is no such GPU.
    """
    if device.type == "cpu":
        return nullcontext()
    cuda = cupy().cuda
    if device.index >= (count := cuda.runtime.getDeviceCount()):
        raise RuntimeError(f"there is no {device}: this machine has {count} CUDA device(s)")
    return cuda.Device(device.index)


def to_device(array: Any, device: Device) -> Any:
    """`array` on `device`; the array itself where it is there already."""
    if device_of(array) == device:
        return array
    if device.type == "cpu":
        return array.get()
    with use_device(device):
        return cupy().asarray(array)


def widened(x: Any) -> Any:
    """x, in float32 if it is a NumPy array of 16-bit floats: on the CPU they are for storage."""
    half = type(x) is np.ndarray and dtypes.is_half(x.dtype)
    return x.astype(np.float32) if half else x


def narrowed(y: Any, arrays: list[Any]) -> Any:
    """What was computed of `arrays`, widened, in the first 16-bit float type among theirs."""
    types = [x.dtype for x in arrays if hasattr(x, "dtype") and dtypes.is_half(x.dtype)]
    return cast(y, types[0]) if types and y.dtype == np.float32 else y


def cast(x: Any, dtype: np.dtype) -> Any:
    """x in `dtype`; what is too large for it becomes infinite, without a warning."""
    with np.errstate(over="ignore"):
        return x.astype(dtype, copy=False)


def same_device(operation: str, arrays: list[Any]) -> None:
    """Check that all `arrays` lie on one device.

    Raises:
        RuntimeError: they do not; names the operation, the devices and the fix.
    """
    devices = {str(device_of(array)): None for array in arrays}
    if len(devices) > 1:
        here, there = list(devices)[:2]
        raise RuntimeError(
            f"[{operation}] expected all tensors on one device, but found {here} and {there}: "
            f'move one of them, for instance with .to("{there}")'
        )


class _Generators:
    """One random generator a device, made from the last seed when it is first asked for."""

    def __init__(self) -> None:
        self.seed = 0
        self.by_device: dict[str, Any] = {}

    def get(self, device: Device) -> Any:
        if str(device) not in self.by_device:
            self.by_device[str(device)] = self.make(device)
        return self.by_device[str(device)]

    def make(self, device: Device) -> Any:
        with nullcontext() if device.type == "cpu" else cupy().cuda.Device(device.index):
            return generators[device.type](self.seed)


generators: dict[str, Any] = {"cpu": np.random.default_rng}  # `kernels` adds "cuda"
_generators = _Generators()
_generators.seed = int(np.random.SeedSequence().generate_state(1)[0])  # unseeded runs differ


class Generator(np.random.Generator):
    """A generator of one's own, for what takes `generator=`: `Generator().manual_seed(42)`."""

    def __init__(self, device: Device | str = "cpu") -> None:
        if Device(device).type != "cpu":
            raise NotImplementedError("[Generator] only the CPU has generators of one's own")
        super().__init__(np.random.PCG64(0))

    def manual_seed(self, seed: int) -> Generator:
        """Begin anew from `seed`."""
        self.bit_generator.state = np.random.PCG64(seed).state
        return self


def generator(device: Device | str = "cpu") -> Any:
    """The generator from which everything random on `device` is drawn."""
    return _generators.get(Device(device))


def manual_seed(seed: int) -> None:
    """Seed the generators of all devices: the same seed gives the same numbers again.

    Raises:
        ValueError: seed is not an integer of at least 0.
    """
    if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool) or seed < 0:
        raise ValueError(f"manual_seed expects an integer of at least 0, got {seed!r}")
    _generators.seed = int(seed)
    _generators.by_device.pop("cpu", None)
    for generator in _generators.by_device.values():  # the GPUs': graphs go on drawing from them
        generator.manual_seed(_generators.seed)


def initial_seed() -> int:
    """The seed last set."""
    return _generators.seed


def get_rng_state() -> dict[str, Any]:
    """The CPU generator's state: plain numbers and strings, so that it can be written as JSON."""
    return generator("cpu").bit_generator.state


def set_rng_state(state: dict[str, Any]) -> None:
    """Continue from a state that `get_rng_state` returned."""
    generator("cpu").bit_generator.state = state
