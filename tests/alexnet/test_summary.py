"""The costs of a layer are counted rightly, and it is timed without touching the network."""

import numpy as np
import pytest

import minigrad as mg
from alexnet import models, summary
from alexnet.__main__ import main
from alexnet.layers import trace
from minigrad import nn
from minigrad.backend import CPU
from minigrad.kernels import cpu


def printed_table(capsys, *args):
    assert main(["summary", *args]) == 0
    lines = capsys.readouterr().out.rstrip().splitlines()
    return lines[lines.index("") + 1 :]


def number(text):
    return float(text.replace(",", ""))


def test_macs_of_the_paper(undrawn):
    """724 million, of which the first layer alone has 105 million."""
    layers = trace(models.alexnet_2012().eval(), mg.zeros(1, 3, 227, 227))
    macs = {layer.path: layer.macs for layer in layers if layer.macs}
    assert macs == {
        "conv1": 55 * 55 * 96 * 3 * 11 * 11,
        "conv2": 27 * 27 * 256 * 48 * 5 * 5,  # 48 of the 96 channels: two groups
        "conv3": 13 * 13 * 384 * 256 * 3 * 3,
        "conv4": 13 * 13 * 384 * 192 * 3 * 3,
        "conv5": 13 * 13 * 256 * 192 * 3 * 3,
        "fc6": 9216 * 4096,
        "fc7": 4096 * 4096,
        "fc8": 4096 * 1000,
    }
    assert sum(macs.values()) == 724_406_816


def test_every_kind_of_convolution_is_counted():
    lines = nn.Sequential(nn.Conv1d(4, 6, 3, groups=2), nn.ConvTranspose1d(6, 8, 5, stride=2))
    images = nn.Sequential(nn.Conv2d(4, 6, (3, 2)), nn.ConvTranspose2d(6, 8, (2, 3), groups=2))
    layers = trace(lines, mg.zeros(3, 4, 9)) + trace(images, mg.zeros(3, 4, 9, 7))
    assert [layer.macs for layer in layers] == [
        3 * 6 * 7 * 2 * 3, 3 * 6 * 7 * 8 * 5,  # of the transposed ones each input is multiplied
        3 * 6 * 7 * 6 * 4 * 3 * 2, 3 * 6 * 7 * 6 * 4 * 2 * 3,
    ]
    assert [summary.algorithm(layer) for layer in layers] == ["im2col"] * 4


def test_algorithms_of_a_transposed_convolution():
    """Its forward is a convolution's gradient of the input, and the other way round."""
    layer = nn.ConvTranspose2d(64, 64, 3, padding=1)
    x = mg.zeros(4, 64, 40, 40)
    (traced,) = trace(nn.Sequential(layer), x)
    assert summary.algorithm(traced) == "winograd"
    mg.backends.conv.algorithm = "im2col"
    try:
        expected = layer(x + 1).detach().numpy()
    finally:
        mg.backends.conv.algorithm = "auto"
    np.testing.assert_allclose(layer(x + 1).detach().numpy(), expected, atol=1e-4)


def test_counts_grow_with_the_batch():
    one, three = (trace(models.alexnet_small().eval(), mg.zeros(n, 1, 28, 28)) for n in (1, 3))
    for a, b in zip(one, three, strict=True):
        assert b.macs == 3 * a.macs
        assert b.output_bytes == 3 * a.output_bytes
        assert b.parameters == a.parameters


def test_only_new_memory_is_counted():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True), nn.ReLU(), nn.Flatten())
    layers = trace(net, mg.zeros(5, 1, 8, 8))
    size = 5 * 2 * 6 * 6 * 4
    assert [layer.output_bytes for layer in layers] == [size, 0, size, 0]


def test_the_table_adds_up(capsys):
    header, *rows, total = printed_table(capsys, "alexnet_small", "--batch-size", "2")
    assert len(rows) == len(trace(models.alexnet_small(), mg.zeros(1, 1, 28, 28)))
    assert header.split()[-4:] == ["forward", "ms", "backward", "ms"]
    for column in range(1, 6):
        parts = [number(row.split()[-column]) for row in rows]
        assert all(part >= 0 for part in parts)
        assert sum(parts) == pytest.approx(
            number(total.split()[-column]), abs=0.05 * len(rows) + 0.05
        )
    assert number(total.split()[1]) == 133_930


def test_without_times(capsys, undrawn):
    header, *rows, total = printed_table(capsys, "alexnet_2012", "--batch-size", "1", "--no-time")
    assert "ms" not in header
    assert number(total.split()[1]) == 60_965_224
    assert number(total.split()[2]) == 724.41


def test_classifiers_halfway_are_counted(capsys, undrawn):
    *_, total = printed_table(capsys, "googlenet", "--batch-size", "1", "--no-time")
    assert number(total.split()[1]) == 13_004_888


def test_the_gradient_of_the_image_is_not_computed(monkeypatch):
    def refuse(*args):
        raise AssertionError("the gradient of the input was computed")

    layer, x = nn.Conv2d(1, 2, 3), mg.ones(2, 1, 8, 8)
    monkeypatch.setattr(cpu, "conv2d_backward_input", refuse)
    forward, backward = summary.time_layer(layer, x, first=True, device=CPU)
    assert forward > 0
    assert backward > 0
    with pytest.raises(AssertionError, match="was computed"):
        summary.time_layer(layer, x, first=False, device=CPU)


def test_timing_leaves_the_input_and_the_gradients_alone():
    x = mg.Tensor(np.array([[-1.0, 2.0]], np.float32))
    layer = nn.Sequential(nn.Linear(2, 2), nn.ReLU(inplace=True))
    summary.time_layer(nn.ReLU(inplace=True), x, first=False, device=CPU)
    summary.time_layer(layer, x, first=False, device=CPU)
    assert x.tolist() == [[-1.0, 2.0]]
    assert all(p.grad is None for p in layer.parameters())


def test_a_layer_without_a_gradient_has_no_backward():
    forward, backward = summary.time_layer(
        nn.Flatten(), mg.ones(2, 1, 2, 2), first=True, device=CPU
    )
    assert forward > 0
    assert backward == 0


def test_a_timed_layer_gets_the_input_that_it_has_in_the_network():
    """The layer before it has run, and an in-place layer after it has not."""
    seen = []

    class Spy(nn.ReLU):
        def forward(self, input):
            seen.append(input.tolist())
            return super().forward(input)

    net = nn.Sequential(nn.Flatten(), Spy(inplace=True))
    trace(net, mg.Tensor(np.array([[-1.0, 2.0]], np.float32)), summary.timer({}, CPU))
    assert seen == [[[-1.0, 2.0]]] * (summary.REPEATS + 2)


def test_the_algorithms_of_a_convolution(capsys):
    net = nn.Sequential(
        nn.Conv2d(64, 64, 3, padding="same"), nn.Conv2d(64, 96, 3, padding=(1, 1)),
        nn.Conv2d(96, 48, 3, padding=8), nn.ReLU(), nn.Conv2d(48, 8, 2),
    )  # fmt: skip
    layers = trace(net, mg.zeros(8, 64, 16, 16))
    names = [summary.algorithm(layer) for layer in layers]
    assert names == ["winograd", "winograd", "im2col", "", "im2col"]
    deep = trace(nn.Sequential(nn.Conv2d(64, 64, 5, padding=3)), mg.zeros(32, 64, 2, 2))
    assert summary.algorithm(deep[0]) == "winograd, im2col"  # a full tile of y, but not of x
    down, up = nn.Conv2d(3, 96, 11, stride=4), nn.ConvTranspose2d(96, 3, 11, stride=4)
    for batch, expected in ((1, "im2col"), (8, "space-to-depth")):
        layers = trace(nn.Sequential(down, up), mg.zeros(batch, 3, 227, 227))
        assert [summary.algorithm(layer) for layer in layers] == [expected] * 2
    header, *rows, total = printed_table(capsys, "alexnet_small", "--batch-size", "2")
    assert header.split()[:3] == ["layer", "algorithm", "output"]
    assert [row.split()[2] for row in rows if "Conv2d" in row] == ["im2col"] * 3
