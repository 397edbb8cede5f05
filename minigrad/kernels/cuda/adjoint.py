"""The gradient of a convolution's input, as convolutions with stride 1.

Along one axis, input i gets g[o] w[k] from every tap k of every place o that looks at it:
o*S - pad + k*D = i. Take the inputs i = start, start + S, ... of one phase. Only those taps reach
them whose k*D has the right remainder modulo S, which is every (S/f)-th tap, f = gcd(S, D); and
from one tap to the next, o falls by D/f. So each phase slides its own taps, in reverse order,
along g: a convolution with stride 1 and dilation D/f. Stride 1 has one phase, and then this is the
convolution with the kernel turned by 180 degrees. Nothing is scattered and nothing is multiplied
by zeros. The algorithms beside this file hand in their `conv2d`, and need no second formula.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import cupy

from minigrad.kernels.geometry import Pad, Pair


class Phase(NamedTuple):
    """Inputs along one axis that are S apart, and the convolution that gives their gradient."""

    inputs: slice
    taps: slice  # in the kernel's order; the convolution takes them in reverse
    pad: Pair  # before and after g
    dilation: int


def phases(
    size: int, kernel: int, stride: int, pad: int, dilation: int, places: int
) -> list[Phase]:
    """The phases of an axis of `size` inputs and `places` outputs; `taps` is empty where no window
    sees them."""
    common = math.gcd(stride, dilation)
    found = []
    for start in range(min(stride, size)):
        inputs = slice(start, size, stride)
        first = [k for k in range(kernel) if (start + pad - k * dilation) % stride == 0][:1]
        taps = slice(first[0] if first else kernel, kernel, stride // common)
        reach = (len(range(kernel)[taps]) - 1) * (dilation // common)  # from first to last tap
        before = reach - (start + pad - taps.start * dilation) // stride
        after = len(range(size)[inputs]) + reach - places - before
        found.append(Phase(inputs, taps, (before, after), dilation // common))
    return found


def backward_input(
    conv2d: Callable[..., Any], g: Any, w: Any, x_shape: Sequence[int], stride: Pair, pad: Pad,
    dilation: Pair, groups: int,
) -> Any:
    """gx, of shape x_shape, from g (N, O, OH, OW) and w (O, C/groups, KH, KW), by `conv2d`."""
    down = phases(x_shape[2], w.shape[2], stride[0], pad[0], dilation[0], g.shape[2])
    across = phases(x_shape[3], w.shape[3], stride[1], pad[2], dilation[1], g.shape[3])
    swapped = w.reshape(groups, -1, *w.shape[1:]).swapaxes(1, 2)  # (groups, C/groups, O/groups, ..)
    swapped = swapped.reshape(-1, w.shape[0] // groups, *w.shape[2:])  # (C, O/groups, KH, KW)
    gx = None
    for a in down:
        for b in across:
            taps = swapped[:, :, a.taps, b.taps][:, :, ::-1, ::-1]
            options = (1, 1), (*a.pad, *b.pad), (a.dilation, b.dilation), groups
            part = conv2d(g, taps, None, *options) if taps.size else 0
            if len(down) == len(across) == 1 and taps.size:
                return part
            gx = cupy.empty(tuple(x_shape), g.dtype) if gx is None else gx
            gx[:, :, a.inputs, b.inputs] = part
    return gx
