"""What a window sees: the one loop under convolution, pooling and unfold.

Tap k of output position o looks at input position o * stride - padding + k * dilation (see
`geometry.py`). Padding is never stored: a tap that falls outside the image is left out, which is
right for a sum of zeros and for a maximum over minus infinity alike. `conv.py` uses it first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from minigrad.kernels.geometry import Pad, Pair


def taps(
    oh: int, ow: int, x_shape: Sequence[int], kernel_size: Pair, stride: Pair, pad: Pad,
    dilation: Pair = (1, 1),
) -> Iterator[tuple[int, int, int, int]]:
    """(kh, kw, h, w): each tap of window (oh, ow) inside the image, and where it looks."""
    height, width = x_shape[-2:]
    top, _, left, _ = pad
    for kh in range(kernel_size[0]):
        for kw in range(kernel_size[1]):
            h = oh * stride[0] - top + kh * dilation[0]
            w = ow * stride[1] - left + kw * dilation[1]
            if 0 <= h < height and 0 <= w < width:
                yield kh, kw, h, w
