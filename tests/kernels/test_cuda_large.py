"""Arrays of more than 2^31 elements: every kernel finds the last ones.

Nobody has to walk so far. The memory is mapped, but is there only where it is touched; the grid is
the one that the whole array asks for, and of many blocks the last one runs, which computes the last
elements. They must be those that the same kernel makes of the array's end, taken by itself.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

# Of each shape the end that is filled; the second image's last channels have neighbours there.
END = {
    (2, 32769, 128, 256): (2, 8, 128, 256),  # 2^31 + 65536: two planes lie behind 2^31
    (2, 32769, 64, 128): (2, 8, 64, 128),
    (2, 4 * 32769, 64, 128): (2, 4 * 8, 64, 128),
    (2, 3 * 32769, 128 * 256): (2, 3 * 8, 128 * 256),
    (32769,): (8,),
    (65537, 32769): (8, 32769),
    (65537,): (8,),
    (65537, 1, 128, 256): (1, 1, 128, 256),
    (8, 2**28 + 16): (8, 16),
    (2**31 + 100,): (100,),
}
X, POOLED, DEEP, COLUMNS, CHANNELS, SCORES, ROWS, IMAGES, WIDE, FLAT = END
SLIDE = (1, 3), (1, 1), (0, 0, 1, 1), (1, 1)  # kernel_size, stride, pad, dilation
HALVE = (2, 2), (2, 2), (0, 0, 0, 0)  # kernel_size, stride, pad


class Arrays:
    """What a case gets: the package, and arrays that are huge, or nothing but their ends."""

    def __init__(self, gpu: Any, cuda: Any, huge: bool) -> None:
        self.gpu, self.cuda, self.huge = gpu, cuda, huge
        self.rng = np.random.default_rng(0)

    def file(self, name: str) -> Any:
        return importlib.import_module(f"{self.cuda.__name__}.{name}")

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape if self.huge else END[shape]

    def __call__(self, shape: tuple[int, ...], dtype: str = "float16", limit: int = 9) -> Any:
        numbers = self.rng.integers(1, limit, END[shape]).astype(dtype)
        if not self.huge:
            return self.gpu.asarray(numbers)
        x = self.gpu.empty(shape, dtype)
        x.host[tuple(slice(-n, None) for n in numbers.shape)] = numbers
        return x

    def generator(self, numbers_a_draw: int) -> Any:
        """For an end alone, the generator after the draws of all that would stand before it."""
        generator = self.file("random").Generator(7)
        before = 0 if self.huge else (FLAT[0] - END[FLAT][0]) // numbers_a_draw
        generator.set_state({"seed": 7, "offset": before})
        return generator


def add_sorted(a: Arrays) -> Any:
    x, kernel = a(FLAT), a.cuda.module.kernel("add_sorted", np.dtype("float16"))
    positions, order = [x.size - 2, x.size - 1, x.size - 1], [2, 0, 1]
    g = a.gpu.asarray(np.array([1, 2, 4], "float16"))
    a.cuda.module.launch(kernel, 3, x, a.gpu.asarray(positions), a.gpu.asarray(order), g, 3)
    return x


def sgd_step(a: Arrays) -> Any:
    p, buf = a(FLAT), a(FLAT)
    rates = a.gpu.asarray([[0.5, 0.5, 0.0, 0.25, 0.0]])
    a.cuda.sgd_step([p], [a(FLAT)], [buf], [None], [0], rates)
    return p, buf


def adam_step(a: Arrays) -> Any:
    p, m, v = a(FLAT), a(FLAT), a(FLAT)
    rates = a.gpu.asarray([[0.5, 0.5, 0.75, 1e-3, 0.25, 0.0]])
    a.cuda.adam_step([p], [a(FLAT)], [m], [v], [a.cuda.optim.counter()], [0], rates)
    return p, m, v


def unscale(a: Arrays) -> Any:
    g, found = a(FLAT), a.gpu.zeros((), np.float32)
    a.cuda.unscale([g], a.gpu.asarray(np.float32(4)), found)
    return g


def image_batch(a: Arrays) -> Any:
    images = a(IMAGES, "uint8")
    chosen = a.gpu.asarray(np.array([[len(images) - 1, 0, 0, 0]], np.int32))
    rows, columns = (
        a.gpu.asarray(np.array([[start + i, 1 << 22] for i in range(128)], np.int32))
        for start in (0, 128)
    )
    zero, one = (a.gpu.asarray(np.float32(value)) for value in (0, 1))
    return a.file("images").image_batch(
        images, a.gpu.zeros(len(images), int), chosen, a.gpu.zeros(1, int), 1, 128, rows, columns,
        zero, one,
    )[0]  # fmt: skip


def blocks_of_pixels(a: Arrays, name: str) -> Any:
    deep_shape = (X[0], 4 * a.shape(X)[1], 64, 128)  # 2 x 2 pixels each
    if name == "space_to_depth":
        x, deep = a(X), a.gpu.empty(deep_shape, "float16")
    else:
        x, deep = a.gpu.empty(a.shape(X), "float16"), a(DEEP)
    a.file("space_to_depth")._launch(name, x, deep, (2, 2), (0, 0, 0, 0))
    return deep if name == "space_to_depth" else x


CASES: dict[str, Callable[[Arrays], Any]] = {
    "im2col": lambda a: a.cuda.unfold(a(X), *SLIDE),
    "col2im": lambda a: a.cuda.fold(a(COLUMNS), a.shape(X), *SLIDE),
    "max_pool2d": lambda a: a.cuda.max_pool2d(a(X), *HALVE, (1, 1), False),
    "max_pool2d_backward": lambda a: a.cuda.max_pool2d_backward(
        a(POOLED), a(POOLED, "uint8", 4), a.shape(X), *HALVE, (1, 1)),
    "avg_pool2d": lambda a: a.cuda.avg_pool2d(a(X), *HALVE, False, True, None),
    "avg_pool2d_backward": lambda a: a.cuda.avg_pool2d_backward(
        a(POOLED), a.shape(X), *HALVE, False, True, None),
    "adaptive_avg_pool2d": lambda a: a.cuda.adaptive_avg_pool2d(a(X), (64, 128)),
    "adaptive_avg_pool2d_backward":
        lambda a: a.cuda.adaptive_avg_pool2d_backward(a(POOLED), a.shape(X)),
    "local_response_norm": lambda a: a.cuda.local_response_norm(a(X), 5, 1.0, 0.75, 1.0),
    "local_response_norm_backward":
        lambda a: a.cuda.local_response_norm_backward(a(X), a(X), 5, 1.0, 0.75, 1.0),
    "channel_parts": lambda a: a.file("one_pass").bias_relu_backward(
        a(X, "float32"), a(X, "float32")),
    "column_parts": lambda a: a.file("one_pass").bias_relu_backward(a(WIDE), a(WIDE)),
    "bias_relu": lambda a: a.file("one_pass").bias_relu(a(X), a(CHANNELS)),
    "relu_backward": lambda a: a.cuda.relu_backward(a(FLAT), a(FLAT)),
    "bias_relu_max_pool2d": lambda a: a.file("one_pass").bias_relu_max_pool2d(
        a(X), a(CHANNELS), *HALVE, (1, 1), False),
    "batch_norm_stats": lambda a: a.cuda.batch_norm_stats(a(X)),
    "batch_norm": lambda a: a.cuda.batch_norm(a(X), *(a(CHANNELS) for _ in range(4))),
    "batch_norm_backward": lambda a: a.cuda.batch_norm_backward(
        *(a(X, "float32") for _ in range(2)), *(a(CHANNELS, "float32") for _ in range(3)), False),
    "softmax": lambda a: a.cuda.softmax(a(X), -1),
    "softmax_backward": lambda a: a.cuda.softmax_backward(a(X), a(X), -1),
    "log_softmax": lambda a: a.cuda.log_softmax(a(X), -1),
    "log_softmax_backward": lambda a: a.cuda.log_softmax_backward(a(X), a(X), -1),
    "cross_entropy": lambda a: a.file("one_pass").cross_entropy(
        a(SCORES), a(ROWS, "int64"), -1, True, True)[2],
    "cross_entropy_backward": lambda a: a.file("one_pass").cross_entropy_backward(
        a.gpu.ones((), "float16"), a(FLAT), a.gpu.ones((), "float32")),
    "random_uniform": lambda a: a.generator(4).random(a.shape(FLAT), np.float32),
    "random_normal": lambda a: a.generator(4).standard_normal(a.shape(FLAT), np.float32),
    "random_bits": lambda a: a.generator(4).bits(a.shape(FLAT)[0]),
    "random_integers": lambda a: a.generator(2).integers(0, 1000, a.shape(FLAT)),
    "dropout": lambda a: a.cuda.dropout(a(FLAT), 0.5, a.generator(4))[0],
    "sgd_step": sgd_step, "adam_step": adam_step, "unscale": unscale,
    "add_sorted": add_sorted,
    "image_batch": image_batch,
    "space_to_depth": lambda a: blocks_of_pixels(a, "space_to_depth"),
    "depth_to_space": lambda a: blocks_of_pixels(a, "depth_to_space"),
}  # fmt: skip
RUN_BY_OTHERS = {"batch_norm_parts", "batch_norm_backward_parts", "sum_of_parts"}
# What these work on is a number a parameter, a row of scores, or what one launch can carry; or it
# is a chunk of images, which fits in WORK_BYTES.
SMALL = {
    "adam_rates", "count_steps", "update_scale", "write_numbers", "seed_numbers", "take_numbers",
    "cross_entropy_sums", "count_batch", "lower_width", "to_pixels", "from_pixels",
    "winograd_tiles", "winograd_maps",
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_last_elements(gpu: Any, package: Any, name: str) -> None:
    case = CASES[name]
    right = case(Arrays(gpu, package, huge=False))
    with gpu.last_block_only():
        found = case(Arrays(gpu, package, huge=True))
    for mine, truth in zip(as_tuple(found), as_tuple(right), strict=True):
        last = 1 if mine.shape == CHANNELS else 16  # of statistics, a block makes one
        ends = [x.host.reshape(-1)[-last:] for x in (mine, truth)]
        np.testing.assert_allclose(*ends, rtol=1e-3)  # sums are in another number of parts
        assert ends[1].any()  # sparse memory that nobody wrote to is 0


def as_tuple(value: Any) -> tuple:
    return value if isinstance(value, tuple) else (value,)


def test_every_kernel_is_tried(package: Any) -> None:
    module = package.module
    kernels = {*module.KERNELS, *module.KERNELS_WITH_CODE, *module.KERNELS_WITHOUT_TYPE}
    assert kernels <= CASES.keys() | RUN_BY_OTHERS | SMALL
    large = X, COLUMNS, SCORES, IMAGES, WIDE, FLAT
    assert all(np.prod(shape, dtype=object) > 2**31 for shape in large)
