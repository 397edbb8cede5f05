"""Gradient clipping, between `loss.backward()` and `optimizer.step()`.

Source: PyTorch, `torch.nn.utils.clip_grad_norm_` and `clip_grad_value_`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from minigrad import backend, dtypes
from minigrad.tensor import Tensor


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:
    """Shrink all gradients by one factor so that their common norm is at most `max_norm`.

    Args:
        norm_type: the p of the p-norm over all elements of all gradients; may be `math.inf`.
        error_if_nonfinite: raise where the norm is NaN or infinite, instead of scaling by it; on
            a GPU, this waits for it.

    Returns:
        The norm before clipping, a 0-d tensor.

    Raises:
        RuntimeError: see error_if_nonfinite.
    """
    grads = _gradients(parameters)
    if not grads:
        return Tensor(0.0)
    dtype, xp = grads[0].dtype, backend.array_module(grads[0].array)
    order = None if norm_type == 2 else norm_type  # None is the 2-norm without a temporary array
    wide = dtypes.float32 if dtype == dtypes.float16 else dtype
    flat = [grad.array.reshape(-1).astype(wide, copy=False) for grad in grads]
    norms = [xp.linalg.norm(array, order) for array in flat if array.size]
    total = xp.linalg.norm(xp.stack(norms), order)
    norm = total if backend.is_cupy(total) else float(total)
    if error_if_nonfinite and not math.isfinite(float(norm)):
        raise RuntimeError(
            f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, "
            "so it cannot be clipped. To disable this error and scale the gradients by the "
            "non-finite norm anyway, set `error_if_nonfinite=False`"
        )
    factor: Any = max_norm / (norm + 1e-6)
    if backend.is_cupy(factor):  # to learn what it is, the GPU would have to be waited for
        factor = Tensor(xp.minimum(factor, 1))
    if isinstance(factor, Tensor) or not factor >= 1:  # a factor of NaN scales as well
        for grad in grads:
            grad.mul_(factor)
    return Tensor(xp.asarray(total, dtype=dtype))


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Cut every element of every gradient to [-clip_value, clip_value]."""
    for grad in _gradients(parameters):
        grad.array.clip(-clip_value, clip_value, out=grad.array)
        grad._version.count += 1


def _gradients(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    parameters = [parameters] if isinstance(parameters, Tensor) else parameters
    return [p.grad for p in parameters if p.grad is not None]
