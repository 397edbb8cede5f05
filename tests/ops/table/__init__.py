"""THE table of ops: what each is called with, and what it must be equal to.

The files mirror `minigrad/ops`. `test_ops.py` runs every sample through its templates (PyTorch, the
reference kernels, numerical gradients, dtypes, subsets of gradients), `test_errors.py` runs every
error, and `test_completeness.py` fails when an op is missing here. `samples.py` has the words.
"""

from tests.ops.table import (
    activation, compare, conv, einsum, elementwise, index, loss, matmul, norm, order, p_norm, pool,
    rearrange, reduce, rounding, scan, select, shape,
)

FILES = (
    elementwise, activation, select, rounding, reduce, scan, p_norm, shape, rearrange, index, order,
    matmul, einsum, conv, pool, norm, loss, compare,
)
OPS = [op for file in FILES for op in file.OPS]
