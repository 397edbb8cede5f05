"""THE table of ops: what each is called with, and what it must be equal to.

The files mirror `minigrad/ops`. `test_ops.py` runs every sample through its templates (PyTorch, the
reference kernels, numerical gradients, dtypes, subsets of gradients), `test_errors.py` runs every
error, and `test_completeness.py` fails when an op is missing here. `samples.py` has the words.
"""

from tests.ops.table import (
    activation, compare, conv, elementwise, index, loss, matmul, norm, pool, reduce, shape,
)

FILES = (
    elementwise, activation, reduce, shape, index, matmul, conv, pool, norm, loss, compare,
)
OPS = [op for file in FILES for op in file.OPS]
