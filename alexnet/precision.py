"""How exactly a run computes: `--precision fp32`, `tf32`, `fp16` or `bf16`, and what that means.

Weights, their gradients, the optimizer's memory and the loss are float32 in all four, and so are
the sums in a product; what differs is to what the numbers that are multiplied are rounded.
fp16 and bf16 are of the training steps alone: a test is computed as `alexnet evaluate` does it, in
float32, so that both find the same accuracy. Next: `minigrad/amp/`.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from alexnet.errors import InputError
from minigrad import amp, autocast, backends, cuda, dtypes
from minigrad.backend import CPU, Device

PRECISIONS = {  # with the bits of what is multiplied
    "fp32": "float32, 24 bits",
    "tf32": "products of TF32, 11 bits, in the tests, too; all else float32",
    "fp16": "products of float16, 11 bits, the loss scaled; weights, sums and tests float32",
    "bf16": "products of bfloat16, 8 bits; weights, sums and tests float32",
}


def no_tf32() -> str | None:
    """Why the GPU has no TF32, if that is so. PyTorch would say nothing, and compute in float32."""
    major, minor = cuda.get_device_capability()
    older = f"{cuda.get_device_name()} has compute capability {major}.{minor}, and TF32 needs 8.0"
    return older if major < 8 else None


class Precision:
    """What `--precision` makes of a run on this device.

    Raises:
        InputError: the device has no such arithmetic, or a library is missing.
    """

    def __init__(self, name: str, device: Device) -> None:
        self.name, self.device = name, device
        self.dtype = dtypes.float16 if name == "fp16" else None
        self.scaler = amp.GradScaler(device.type, enabled=name == "fp16")
        if name == "bf16":
            try:
                self.dtype = dtypes.load_bfloat16()
            except ModuleNotFoundError as error:
                raise InputError(f"--precision bf16: {error}") from None
        if name == "tf32":
            if device == CPU:
                raise InputError(
                    "--precision tf32: only GPUs have that, and this run is on the CPU; leave it "
                    "out, or add --device cuda"
                )
            if (problem := no_tf32()) is not None:
                raise InputError(
                    f"--precision tf32: {problem}; leave it out, or add --precision fp16"
                )
            backends.cuda.matmul.allow_tf32 = backends.cudnn.allow_tf32 = True

    def forward(self) -> AbstractContextManager[Any]:
        """The context of a forward pass and its loss."""
        return autocast(self.device.type, self.dtype, enabled=self.dtype is not None)

    def __str__(self) -> str:
        slow = "; slow: a CPU computes in float32, and rounds"
        on_cpu = self.dtype is not None and self.device == CPU
        return f"{self.name}: {PRECISIONS[self.name]}{slow if on_cpu else ''}"
