"""`GradScaler`: gradients too small for float16 are kept alive by a larger loss.

float16 ends at 6e-8, and half of a network's gradients may be smaller. The loss is multiplied by a
scale, and so is every gradient, until `step` divides them again. The right scale is found as one
goes: a scale too large makes some gradient infinite, that step is skipped, and the scale falls; if
none was for long, it rises. Scale, count and what was found lie on the device of the loss, and are
changed there by kernels (`kernels/cpu/optim.py`, `kernels/cuda/amp.cu`): nobody waits for a GPU to
read them.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

from minigrad import backend, dtypes, kernels
from minigrad.backend import Array
from minigrad.tensor import Tensor


class GradScaler:
    """Scales a loss, and gradients back: `scale(loss).backward(); step(optimizer); update()`.

    Args:
        device: "cuda" or "cpu".
        init_scale: the first factor; a power of 2 costs no digits, nor do the next two.
        growth_factor: multiplies the scale after `growth_interval` steps in a row whose gradients
            were all finite.
        backoff_factor: multiplies the scale after a step in which one was not.
        enabled: False makes `scale` the identity, and `step` the optimizer's.

    Raises:
        ValueError: a growth_factor of at most 1, or a backoff_factor of at least 1.

    Source: PyTorch, `torch.amp.GradScaler`, which asks the GPU whether to call the optimizer. Here
    it is always called, and its kernel looks.
    """

    def __init__(
        self, device: str = "cuda", init_scale: float = 2.0**16, growth_factor: float = 2.0,
        backoff_factor: float = 0.5, growth_interval: int = 2000, enabled: bool = True,
    ) -> None:
        problem = backend.cuda_problem() if enabled and device == "cuda" else ""
        if problem:
            warnings.warn(f"[GradScaler] disabled: {problem}", stacklevel=2)
        if not growth_factor > 1 or not backoff_factor < 1:
            raise ValueError(
                f"[GradScaler] growth_factor ({growth_factor}) must be above 1, and backoff_factor "
                f"({backoff_factor}) below 1"
            )
        self._enabled = enabled and not problem
        self._init_scale, self._init_count = float(init_scale), 0
        self._growth_factor, self._backoff_factor = float(growth_factor), float(backoff_factor)
        self._growth_interval = growth_interval
        self._scale: Array | None = None  # float32, on the device of the first loss
        self._count: Array | None = None  # int64: finite steps since the scale last changed
        self._found: dict[Any, Array] = {}  # float32: not 0 if a gradient was not finite
        self._stepped: set[Any] = set()

    def scale(self, outputs: Any) -> Any:
        """`outputs` times the scale: a tensor, or a list or tuple of such."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            return outputs * Tensor(self._on_device_of(outputs.array))
        if isinstance(outputs, Iterable):
            scaled = map(self.scale, outputs)
            return type(outputs)(scaled) if isinstance(outputs, (list, tuple)) else scaled
        raise ValueError(f"[GradScaler] expected tensors to scale, got a {type(outputs).__name__}")

    def unscale_(self, optimizer: Any) -> None:
        """Divide the gradients by the scale now, to clip them, say, before `step`.

        Raises:
            RuntimeError: called twice, or after `step`, since the last `update`.
            ValueError: a gradient is float16: the weights must be float32.
        """
        if not self._enabled:
            return
        if optimizer in self._stepped:
            raise RuntimeError("unscale_() is being called after step().")
        if optimizer in self._found:
            raise RuntimeError(
                "unscale_() has already been called on this optimizer since the last update()."
            )
        grads = [p.grad for p in optimizer._parameters() if p.grad is not None]
        if any(g.dtype == dtypes.float16 for g in grads):
            raise ValueError(
                "Attempting to unscale FP16 gradients: keep the weights in float32, and let "
                "autocast cast them"
            )
        if not grads:
            raise RuntimeError("[GradScaler] the optimizer's parameters have no gradients")
        arrays = [g.array for g in grads]
        scale = self._on_device_of(arrays[0])
        backend.same_device("GradScaler", [scale, *arrays])
        with backend.use_device_of(scale):
            self._found[optimizer] = found = _number(arrays[0], 0, dtypes.float32)
            kernels.of(scale).unscale(arrays, scale, found)
        for g in grads:
            g._version.count += 1

    def step(self, optimizer: Any, *args: Any, **options: Any) -> Any:
        """`unscale_`, if that was not done, and `optimizer.step`, which changes nothing where a
        gradient is not finite.

        Raises:
            RuntimeError: called twice since the last `update`, or with a closure.
        """
        if not self._enabled:
            return optimizer.step(*args, **options)
        if args or "closure" in options:
            raise RuntimeError("Closure use is not currently supported if GradScaler is enabled.")
        if optimizer in self._stepped:
            raise RuntimeError("step() has already been called since the last update().")
        if optimizer not in self._found:
            self.unscale_(optimizer)
        optimizer.skip = self._found[optimizer]
        try:
            return optimizer.step(**options)
        finally:
            optimizer.skip = None
            self._stepped.add(optimizer)

    def update(self, new_scale: float | Tensor | None = None) -> None:
        """The scale of the next step: `new_scale`, or what the gradients of this one say."""
        if not self._enabled:
            return
        if self._scale is None or (new_scale is None and not self._found):
            raise RuntimeError("[GradScaler] update() without a step() before it")
        if new_scale is not None:
            self._scale[...] = new_scale.array if isinstance(new_scale, Tensor) else new_scale
        else:
            found, *others = self._found.values()
            for other in others:
                found += other
            with backend.use_device_of(self._scale):
                kernels.of(self._scale).update_scale(
                    self._scale, self._count, found, self._growth_factor, self._backoff_factor,
                    self._growth_interval,
                )
        self._found, self._stepped = {}, set()

    def get_scale(self) -> float:
        """The scale. Waits for the GPU."""
        if not self._enabled:
            return 1.0
        return self._init_scale if self._scale is None else float(self._scale)

    def is_enabled(self) -> bool:
        return self._enabled

    def get_growth_factor(self) -> float:
        return self._growth_factor

    def get_backoff_factor(self) -> float:
        return self._backoff_factor

    def get_growth_interval(self) -> int:
        return self._growth_interval

    def state_dict(self) -> dict[str, Any]:
        """Numbers, under PyTorch's names; empty if not enabled. Waits for the GPU."""
        if not self._enabled:
            return {}
        return {
            "scale": self.get_scale(), "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor, "growth_interval": self._growth_interval,
            "_growth_tracker": self._init_count if self._count is None else int(self._count),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned.

        Raises:
            RuntimeError: it is empty, from a scaler that was not enabled.
        """
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError(
                "The source state dict is empty, possibly because it was saved from a disabled "
                "instance of GradScaler."
            )
        self._init_scale, self._init_count = state_dict["scale"], state_dict["_growth_tracker"]
        self._growth_factor = state_dict["growth_factor"]
        self._backoff_factor = state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]
        if self._scale is not None and self._count is not None:
            self._scale[...], self._count[...] = self._init_scale, self._init_count

    def _on_device_of(self, like: Array) -> Array:
        """The scale, which is made where it is first needed."""
        if self._scale is None:
            with backend.use_device_of(like):
                self._scale = _number(like, self._init_scale, dtypes.float32)
                self._count = _number(like, self._init_count, dtypes.int64)
        return self._scale


def _number(like: Array, value: float, dtype: Any) -> Array:
    """One number on the device of `like`, of shape ()."""
    return backend.array_module(like).full((), value, dtype)
