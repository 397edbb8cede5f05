"""Which algorithm computes a convolution on a GPU; each stands in a file of its own.

    im2col.py          columns of all windows, one product           anything; the default
    split_k.py         im2col, its weight gradient in parts          anything
    w_lowered.py       columns along the width only, one product     anything
    flat_shift.py      no columns, one product a kernel row          stride 1
    space_to_depth.py  strided: as stride 1, on SH*SW*C channels     dilation 1
    winograd.py        fewer multiplications                         3x3 and 5x5, float32 and 64

`minigrad.backends.conv.algorithm = "flat-shift"` forces one, with an error where it cannot do it,
as on the CPU. "auto" is im2col: nobody has measured the others on a GPU yet. They sum the same
products in another order, so that in float32 all stay within 1e-6 of the result's norm (for a few
thousand terms), all but Winograd's, which says by how much. Their matrix products and chunks of
images are in `views.py`; `adjoint.py` makes the gradient of the input from a forward.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

from minigrad.kernels.cpu import conv as switch  # one `algorithm` for all devices
from minigrad.kernels.cuda import flat_shift, im2col, space_to_depth, split_k, w_lowered, winograd
from minigrad.kernels.geometry import Pad, Pair

ALGORITHMS: dict[str, ModuleType] = {
    "im2col": im2col, "split-k": split_k, "w-lowered": w_lowered, "flat-shift": flat_shift,
    "space-to-depth": space_to_depth, "winograd": winograd,
}  # fmt: skip


def conv2d(
    x: Any, w: Any, b: Any | None, stride: Pair, pad: Pad, dilation: Pair, groups: int
) -> Any:
    """y = w * x + b: (N, C, H, W), (O, C/groups, KH, KW), (O,) -> (N, O, OH, OW)."""
    name = choose(x.dtype, x.shape, w.shape, stride, pad, dilation, groups)
    return ALGORITHMS[name].conv2d(x, w, b, stride, pad, dilation, groups)


def conv2d_backward_input(
    g: Any, w: Any, x_shape: Sequence[int], stride: Pair, pad: Pad, dilation: Pair, groups: int
) -> Any:
    """gx, of shape x_shape, from g (N, O, OH, OW)."""
    name = choose(g.dtype, x_shape, w.shape, stride, pad, dilation, groups)
    return ALGORITHMS[name].conv2d_backward_input(g, w, x_shape, stride, pad, dilation, groups)


def conv2d_backward_weight(
    g: Any, x: Any, w_shape: Sequence[int], stride: Pair, pad: Pad, dilation: Pair, groups: int
) -> Any:
    """gw, of shape w_shape, from g (N, O, OH, OW) and x (N, C, H, W)."""
    name = choose(g.dtype, x.shape, w_shape, stride, pad, dilation, groups)
    return ALGORITHMS[name].conv2d_backward_weight(g, x, w_shape, stride, pad, dilation, groups)


def choose(
    dtype: np.dtype, shape: Sequence[int], w_shape: Sequence[int], stride: Pair, pad: Pad,
    dilation: Pair, groups: int,
) -> str:
    """The name of the algorithm; its arguments are those of `kernels.cpu.conv.choose`.

    Raises:
        ValueError: `algorithm` names none, or one that cannot do this convolution.
    """
    if switch.algorithm == "auto":
        return "im2col"
    if switch.algorithm not in ALGORITHMS:
        names = "auto", *ALGORITHMS
        raise ValueError(f"backends.conv.algorithm: CUDA has {names}, not {switch.algorithm!r}")
    needs = ALGORITHMS[switch.algorithm].lacks(dtype, w_shape, stride, dilation)
    if needs:
        raise ValueError(
            f"[conv2d] algorithm {switch.algorithm!r} needs {needs}, got {dtype}, kernel "
            f"{tuple(w_shape[2:])}, stride {stride}, dilation {dilation}"
        )
    return switch.algorithm
