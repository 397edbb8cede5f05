"""The CUDA sources as one module: compiled when the first kernel is wanted, once a device.

All files are joined into one source text. (CuPy's cache on disk knows a program by its text, and
would not see a change inside an `#include`.) `launch`, `launch_rows` and `launch_planes` choose the
grid; the loops in the kernels stride by it, so that any grid is right. Read `common.cuh` next.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import cupy
import numpy as np

FILES = (
    "common.cuh", "columns.cu", "pool.cu", "lrn.cu", "sums.cu", "norm.cu", "softmax.cu", "optim.cu",
    "amp.cu", "index.cu", "random.cu", "loss.cu", "images.cu", "relu_pool.cu",
    "lowered.cu", "pixels.cu", "depth.cu", "winograd.cu",
)  # fmt: skip
TYPES = {  # by the dtype's name: bfloat16 is no dtype of NumPy's own
    "float16": "Half", "bfloat16": "Bfloat16", "float32": "float", "float64": "double",
}  # fmt: skip
CODES = {np.dtype("uint8"): "u8", np.dtype("uint16"): "u16"}  # of max-pooling
KERNELS = (
    "im2col", "col2im",
    "avg_pool2d", "avg_pool2d_backward", "adaptive_avg_pool2d", "adaptive_avg_pool2d_backward",
    "local_response_norm", "local_response_norm_backward",
    "channel_parts", "column_parts", "sum_of_parts", "batch_norm_parts", "batch_norm_stats",
    "batch_norm", "batch_norm_backward_parts", "batch_norm_backward", "bias_relu_max_pool2d",
    "bias_relu", "relu_backward",
    "softmax", "softmax_backward", "log_softmax", "log_softmax_backward",
    "sgd_step", "adam_step", "unscale", "add_sorted", "random_uniform", "random_normal", "dropout",
    "cross_entropy", "cross_entropy_sums", "cross_entropy_backward", "image_batch", "count_batch",
    "lower_width", "to_pixels", "from_pixels", "space_to_depth", "depth_to_space",
    "winograd_tiles", "winograd_maps",
)  # fmt: skip
KERNELS_WITH_CODE = ("max_pool2d", "max_pool2d_backward")
KERNELS_WITHOUT_TYPE = (
    "adam_rates", "count_steps", "update_scale", "write_numbers", "seed_numbers", "take_numbers",
    "random_bits", "random_integers",
)  # fmt: skip
THREADS = 256  # a block, in every kernel; common.cuh says the same
WARP = 32
MAX_GRID_X, MAX_GRID_Y = 2**31 - 1, 65535
MAX_PIXELS = 2**30  # of one plane; the number of planes has no limit


def source() -> str:
    """The text of the whole module; compiler messages name the right file and line."""
    folder = Path(__file__).parent
    return "\n".join(f'#line 1 "{name}"\n' + (folder / name).read_text() for name in FILES)


def name_expressions() -> list[str]:
    """Every kernel with every combination of types, as C++ names it."""
    names = [f"{kernel}<{t}>" for kernel in KERNELS for t in TYPES.values()]
    return [*names, *KERNELS_WITHOUT_TYPE] + [
        f"{kernel}<{t}, {code}>"
        for kernel in KERNELS_WITH_CODE
        for t in TYPES.values()
        for code in CODES.values()
    ]


@cache
def _module() -> Any:
    return cupy.RawModule(code=source(), name_expressions=name_expressions())


@cache
def kernel(name: str, dtype: np.dtype | None = None, code: np.dtype | None = None) -> Any:
    """The kernel for arrays of `dtype`, and for max-pooling also the dtype of its codes; without
    a `dtype` one that has no type.

    Raises:
        TypeError: there is no kernel for this dtype.
    """
    if dtype is None:
        return _module().get_function(name)
    if dtype.name not in TYPES:
        raise TypeError(f"[{name}] on CUDA takes {', '.join(TYPES)}, got {dtype}")
    types = TYPES[dtype.name] if code is None else f"{TYPES[dtype.name]}, {CODES[code]}"
    return _module().get_function(f"{name}<{types}>")


def launch(function: Any, size: int, *args: Any) -> None:
    """Run `function` on a flat array of `size` elements, a thread each."""
    if size:
        function((min(-(-size // THREADS), MAX_GRID_X),), (THREADS,), args)


def launch_rows(function: Any, rows: int, *args: Any) -> None:
    """Run `function` on `rows` rows of numbers, a warp each."""
    if rows:
        rows_a_block = THREADS // WARP
        grid = min(-(-rows // rows_a_block), MAX_GRID_X)
        function((grid,), (WARP, rows_a_block), args)


def launch_planes(function: Any, planes: int, pixels: int, *args: Any) -> None:
    """Run `function` on `planes` planes of `pixels` each, a thread a pixel.

    A block is a warp wide, so that neighbours read neighbours, and 8 planes high; narrower and
    higher where a plane has fewer pixels than a warp has lanes: 64 planes of 2x2 share a block.

    Raises:
        ValueError: a plane has more pixels than a kernel's int can count.
    """
    check_plane(pixels)
    if planes and pixels:
        width, height = block_shape(pixels)
        grid = -(-pixels // width), min(-(-planes // height), MAX_GRID_Y)
        function(grid, (width, height), args)


def check_plane(pixels: int) -> None:
    """Raises ValueError where a plane, read or written, has more pixels than an int can walk."""
    if pixels > MAX_PIXELS:
        raise ValueError(f"one plane has {pixels} pixels; the CUDA kernels take {MAX_PIXELS}")


def block_shape(pixels: int) -> tuple[int, int]:
    """(x, y) threads of a block: x the power of two that holds `pixels`, but at most a warp."""
    width = min(1 << max(pixels - 1, 0).bit_length(), WARP)
    return width, THREADS // width


def struct(*values: float) -> np.ndarray:
    """A C struct passed by value: its members in order, floats as `double`, the rest as `int`."""
    types = [np.double if isinstance(value, float) else np.intc for value in values]
    fields = [(f"member{i}", t) for i, t in enumerate(types)]
    return np.array(values, np.dtype(fields, align=True))


def window(
    x_shape: Sequence[int], kernel_size: Sequence[int], stride: Sequence[int], pad: Sequence[int],
    dilation: Sequence[int], places: Sequence[int],
) -> np.ndarray:
    """`struct Window` of common.cuh, for images (N, C, H, W) and an output (OH, OW) = places.

    Raises:
        ValueError: a plane of either has more pixels than a kernel's int can count.
    """
    check_plane(x_shape[2] * x_shape[3])
    check_plane(places[0] * places[1])
    return struct(*x_shape[1:], *kernel_size, *stride, *pad, *dilation, *places)


def contiguous(array: Any) -> Any:
    """The array itself, or a C-contiguous copy: a kernel gets a pointer and knows no strides."""
    return array if array.flags.c_contiguous else cupy.ascontiguousarray(array)


def address(array: Any) -> int:
    """Where an array lies, for a kernel that gets many of them in a struct."""
    return array.data.ptr
