"""The operations of neural networks as functions, under PyTorch's names: `F.conv2d(x, w, b)`.

This is the index. A function with a derivative of its own is documented where that stands, in
`ops/`; what is composed of others is in the files beside this one.
"""

from minigrad.nn.functional.activation import (
    celu, elu, gelu, hardsigmoid, hardswish, hardtanh, leaky_relu, log_softmax, logsigmoid, mish,
    relu6, selu, silu, softmax, softplus, softsign, tanhshrink,
)
from minigrad.nn.functional.conv import conv_transpose2d
from minigrad.nn.functional.dropout import dropout1d, dropout2d
from minigrad.nn.functional.loss import (
    binary_cross_entropy, binary_cross_entropy_with_logits, cross_entropy, huber_loss, kl_div,
    l1_loss, mse_loss, nll_loss, smooth_l1_loss,
)
from minigrad.nn.functional.norm import (
    group_norm, instance_norm, layer_norm, local_response_norm, normalize,
)
from minigrad.nn.functional.one_hot import one_hot
from minigrad.nn.functional.pad import pad
from minigrad.nn.functional.pool import adaptive_max_pool2d
from minigrad.nn.functional.resize import interpolate, pixel_shuffle, pixel_unshuffle
from minigrad.nn.functional.sequence import (
    adaptive_avg_pool1d, adaptive_max_pool1d, avg_pool1d, conv1d, conv_transpose1d, max_pool1d,
)
from minigrad.ops import (
    adaptive_avg_pool2d, avg_pool2d, batch_norm, conv2d, dropout, fold, linear, max_pool2d,
    relu, sigmoid, tanh, unfold,
)
