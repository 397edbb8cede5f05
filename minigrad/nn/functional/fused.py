"""Several operations as one launch, on a GPU: there a pass over memory costs more than arithmetic.

Each computes what the composed operations do, which remain the definition, and stand in the file
that calls it; read `loss.py` first. The kernels are in `kernels/cuda` alone.
"""

from __future__ import annotations

from types import ModuleType

from minigrad.autograd import Function
from minigrad.backend import Array


def _cuda() -> ModuleType:
    from minigrad.kernels.cuda import one_pass

    return one_pass


class SoftmaxCrossEntropy(Function):
    """l = log(sum exp x) - x_t;  dL/dx = g (softmax(x) - onehot(t)), divided by N for the mean.

    By-product: how many rows have their highest score at their target.
    """

    def forward(
        self, x: Array, target: Array, *, ignore_index: int, mean: bool
    ) -> tuple[Array, Array]:  # (N, C), (N,)
        loss, hits, unit, count = _cuda().cross_entropy(
            x, target, ignore_index, mean, need_gradient=self.needs_input_grad[0]
        )
        self.save_for_backward(unit, count)
        return loss, hits

    def backward(self, g: Array) -> tuple[Array, None]:
        return _cuda().cross_entropy_backward(g, *self.saved_tensors), None
