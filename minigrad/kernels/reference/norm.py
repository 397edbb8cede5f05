"""Normalisation: a pixel among its neighbouring channels (LRN), a channel among the batch.

Local response normalisation is AlexNet's own (2012, section 3.3); batch normalisation took its
place in 2015. `softmax.py` comes next.
"""

from __future__ import annotations

import numpy as np

from minigrad.kernels.reference.precision import in_double


def _neighbours(c: int, channels: int, size: int) -> range:
    """The channels in the window of channel c: size//2 before it, (size-1)//2 after it."""
    return range(max(0, c - size // 2), min(channels, c + (size - 1) // 2 + 1))


def _denominator(x: np.ndarray, size: int, alpha: float, k: float) -> np.ndarray:
    """s[n,c] = k + alpha/size * sum of x[n,i]**2 over the neighbours i of c."""
    s = np.full_like(x, k)
    for c in range(x.shape[1]):
        for i in _neighbours(c, x.shape[1], size):
            s[:, c] += alpha / size * x[:, i] ** 2
    return s


@in_double
def local_response_norm(
    x: np.ndarray, size: int, alpha: float, beta: float, k: float
) -> np.ndarray:
    """y = x / s**beta, s = k + alpha/size * (sum of squares over neighbouring channels).

    x is (N, C, ...). PyTorch divides alpha by size; the 2012 paper does not.
    """
    return x / _denominator(x, size, alpha, k) ** beta


@in_double
def local_response_norm_backward(
    g: np.ndarray, x: np.ndarray, size: int, alpha: float, beta: float, k: float
) -> np.ndarray:
    """gx: x[i] acts as the numerator of y[i], and in the denominator of every y[c] near it.

    gx[i] = g[i] * s[i]**-beta
            - 2*alpha*beta/size * x[i] * sum over c near i of g[c] * x[c] * s[c]**(-beta-1)
    """
    s = _denominator(x, size, alpha, k)
    gx = g * s**-beta
    for c in range(x.shape[1]):
        for i in _neighbours(c, x.shape[1], size):
            through = g[:, c] * x[:, c] * s[:, c] ** (-beta - 1)
            gx[:, i] -= 2 * alpha * beta / size * x[:, i] * through
    return gx


@in_double
def batch_norm_stats(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(mean, var) of each channel of x (N, C, ...), both (C,); the variance is biased (/ n)."""
    mean, var = np.zeros(x.shape[1], x.dtype), np.zeros(x.shape[1], x.dtype)
    n = max(1, x[:, :1].size)
    for c in range(x.shape[1]):
        mean[c] = x[:, c].sum() / n
        var[c] = ((x[:, c] - mean[c]) ** 2).sum() / n
    return mean, var


@in_double
def batch_norm(
    x: np.ndarray, mean: np.ndarray, invstd: np.ndarray, w: np.ndarray | None, b: np.ndarray | None
) -> np.ndarray:
    """y = (x - mean) * invstd * w + b, channel by channel; invstd = 1 / sqrt(var + eps)."""
    y = np.zeros_like(x)
    for c in range(x.shape[1]):
        y[:, c] = (x[:, c] - mean[c]) * invstd[c]
        if w is not None:
            y[:, c] *= w[c]
        if b is not None:
            y[:, c] += b[c]
    return y


@in_double
def batch_norm_backward(
    g: np.ndarray, x: np.ndarray, mean: np.ndarray, invstd: np.ndarray, w: np.ndarray | None,
    training: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(gx, gw, gb), with z = (x - mean) * invstd and averages over the n numbers of a channel.

    gb = sum(g), gw = sum(g * z);
    gx = w * invstd * (g - gb/n - z * gw/n) in training, where mean and invstd depend on x;
    gx = w * invstd * g otherwise.
    """
    gx, gw, gb = np.zeros_like(x), np.zeros_like(mean), np.zeros_like(mean)
    n = max(1, x[:, :1].size)
    for c in range(x.shape[1]):
        z = (x[:, c] - mean[c]) * invstd[c]
        gb[c] = g[:, c].sum()
        gw[c] = (g[:, c] * z).sum()
        gx[:, c] = g[:, c] - gb[c] / n - z * gw[c] / n if training else g[:, c]
        gx[:, c] *= invstd[c] if w is None else w[c] * invstd[c]
    return gx, gw, gb
