"""How exactly float32 is multiplied on a GPU; nothing here concerns the CPU.

In IEEE float32, until somebody allows TF32: operands rounded to 10 bits of mantissa (an error of
5e-4 in each, for 6e-8), products and sums in float32, in tensor cores, several times as fast. These
are PyTorch's switches. One has another beginning: in PyTorch convolutions use TF32 unasked.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


class Switches(SimpleNamespace):
    """Settings, each True or False. To name one that does not exist is an error that lists them."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"no switch is named {name!r} here; there are {', '.join(vars(self))}")

    def __setattr__(self, name: str, value: Any) -> None:
        if type(value) is not type(getattr(self, name)):
            raise TypeError(f"{name} is True or False, got {value!r}")
        super().__setattr__(name, value)


matmul = Switches(allow_tf32=False)
cudnn = Switches(  # of these only the first has an effect: there is no cuDNN here
    allow_tf32=False, benchmark=False, deterministic=True, enabled=False, is_available=bool
)
_asked = "highest"


def set_float32_matmul_precision(precision: str) -> None:
    """Multiply matrices on a GPU in float32 ("highest") or TF32 ("high", or just so "medium").

    It is `backends.cuda.matmul.allow_tf32` in other words; convolutions have a switch of their own,
    `backends.cudnn.allow_tf32`. That "medium" is no less than "high" is so in PyTorch, too.

    Raises:
        ValueError: precision is none of the three.
    """
    global _asked
    if precision not in ("highest", "high", "medium"):
        raise ValueError(f"expected 'highest', 'high' or 'medium', got {precision!r}")
    _asked, matmul.allow_tf32 = precision, precision != "highest"


def get_float32_matmul_precision() -> str:
    """What was asked for by name, or what `allow_tf32` has since made of it."""
    names = ("high", "medium") if matmul.allow_tf32 else ("highest",)
    return _asked if _asked in names else names[0]
