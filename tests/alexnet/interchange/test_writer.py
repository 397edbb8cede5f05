"""What is exported computes the same under onnxruntime, and again here when it is read back."""

import sys
import threading

import numpy as np
import onnx
import onnxruntime
import pytest

import minigrad as mg
from alexnet import interchange, models
from alexnet.errors import InputError
from minigrad import nn
from minigrad.nn import functional as F
from tests.alexnet.interchange import judge
from tests.alexnet.twins import eighth, hidden, narrowed, same


def check(net, shape, tmp_path, batches=(1, 3)):
    """Export, run with onnxruntime, read back: the same numbers; returns the file's ModelProto."""
    for name, buffer in net.named_buffers():  # as if it had been trained
        if name.endswith("running_mean"):
            buffer.normal_(0.0, 0.1)
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 1.5)
    path = tmp_path / "m.onnx"
    interchange.export(net, path, shape)
    content = path.read_bytes()
    back = interchange.load(path)
    net.eval()
    for n in batches:
        x = mg.randn(n, *shape)
        with mg.no_grad():
            y, again = net(x).numpy(), back(x).numpy()
        (other,) = judge.run(content, {"images": x.numpy()})
        tolerance = 1e-4 * np.abs(y).max()
        np.testing.assert_allclose(other, y, rtol=1e-4, atol=tolerance)
        np.testing.assert_allclose(again, y, rtol=1e-4, atol=tolerance)
    keys = {key for key in net.state_dict() if not key.endswith("num_batches_tracked")}
    assert set(back.state_dict()) == {key for key in keys if not key.startswith("aux")}
    made = onnx.load(path)
    assert (made.opset_import[0].version, made.ir_version) == (17, 8)
    return made


@pytest.mark.parametrize(
    ("name", "width", "shape"),
    [
        ("alexnet_small", same, (1, 28, 28)),
        ("lenet5", same, (1, 28, 28)),
        ("resnet20", same, (1, 28, 28)),
        ("alexnet_2012", hidden, (3, 227, 227)),
        ("alexnet_tf", hidden, (3, 224, 224)),
        ("alexnet", hidden, (3, 64, 64)),
        ("alexnet", hidden, (3, 150, 150)),  # 3 x 3 windows become 6 x 6
        ("nin", eighth, (1, 96, 96)),
        ("googlenet_d2l", eighth, (1, 64, 64)),
        ("googlenet", eighth, (3, 75, 75)),
        ("vgg11_bn", eighth, (3, 64, 64)),
        ("resnet18", eighth, (3, 64, 64)),
        ("resnet50", eighth, (3, 48, 48)),
    ],
)  # fmt: skip
def test_networks_of_the_family(tmp_path, name, width, shape):
    with narrowed(width):
        net = models.get_model(name)
    check(net, shape, tmp_path)


def test_googlenet_with_its_input_transformed(tmp_path):
    """Slices, scalars, max-pools that round up: 75 pixels become 38, 19, 10 and 5."""
    with narrowed(eighth):
        net = models.googlenet(num_classes=8, aux_logits=False, transform_input=True)
    made = check(net, (3, 75, 75), tmp_path)
    assert "Slice" in {node.op_type for node in made.graph.node}


def test_names_are_those_of_the_layers(tmp_path):
    made = check(models.alexnet_small(), (1, 28, 28), tmp_path)
    onnx.checker.check_model(made, full_check=True)
    nodes = {node.name: node for node in made.graph.node}
    assert list(nodes["conv1/Conv"].input) == ["images", "conv1.weight", "conv1.bias"]
    assert "drop4/Dropout" not in nodes
    weights = {tensor.name for tensor in made.graph.initializer}
    assert weights == set(models.alexnet_small().state_dict())
    (images,), (logits,) = made.graph.input, made.graph.output
    for value, expected in ((images, ["N", 1, 28, 28]), (logits, ["N", 10])):
        dims = value.type.tensor_type.shape.dim
        assert [d.dim_param or d.dim_value for d in dims] == expected


class Function(nn.Module):
    """A network that is one function of its images."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.weight = nn.Parameter(mg.randn(5, 9))
        self.register_buffer("table", mg.randn(1, 3, 1, 1))

    def forward(self, x):
        return self.function(self, x)


WRITTEN = {
    "nothing": lambda net, x: x,
    "in place at once": lambda net, x: F.relu(x, inplace=True),
    "in place later": lambda net, x: F.relu(x + 1, inplace=True) * x,
    "ceil_mode": lambda net, x: F.max_pool2d(x, 3, 2, 1, ceil_mode=True),
    "ceil_mode, dilated": lambda net, x: F.max_pool2d(x, 2, 2, dilation=2, ceil_mode=True),
    "mean with padding": lambda net, x: F.avg_pool2d(x, 3, 2, 1),
    "mean without padding": lambda net, x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
    "mean, ceil_mode": lambda net, x: F.avg_pool2d(x, 2, 2, ceil_mode=True),
    "mean, ceil_mode, padding": lambda net, x: F.avg_pool2d(x, (3, 4), 3, 1, ceil_mode=True),
    "adaptive, one": lambda net, x: F.adaptive_avg_pool2d(x, 1),
    "adaptive, even": lambda net, x: F.adaptive_avg_pool2d(x, (1, 3)),
    "adaptive, uneven": lambda net, x: F.adaptive_avg_pool2d(x, (3, 4)),
    "adaptive, enlarging": lambda net, x: F.adaptive_avg_pool2d(x, (10, 2)),
    "linear of images": lambda net, x: F.linear(x, net.weight),
    "linear of images, bias": lambda net, x: F.linear(x, net.weight, net.weight.mean(1)),
    "matmul": lambda net, x: x @ net.weight.T,
    "buffer": lambda net, x: x * net.table,
    "scalars": lambda net, x: 2 - (1 - x / 3) ** 2 * 0.5,
    "activations": lambda net, x: F.leaky_relu(x.sigmoid() - x.tanh(), 0.3),
    "waves": lambda net, x: x.sin() * x.cos(),
    "larger": lambda net, x: mg.maximum(x, -x) - mg.minimum(x * 2, x),
    "bounds": lambda net, x: x.clamp(-0.5, 0.5) + x.clamp(min=0.1) + x.clamp(max=0.2),
    "roots": lambda net, x: (x.abs() + 1).sqrt().log() + (-x).exp(),
    "softmax": lambda net, x: F.softmax(x, 1) + F.log_softmax(x, -1),
    "lrn": lambda net, x: F.local_response_norm(x, 3, alpha=0.5, k=2.0),
    "slices": lambda net, x: x[:, 1:, ::2, -5:-1][:],
    "pad": lambda net, x: F.pad(x, (1, -2, 0, 3), value=0.5),
    "cat": lambda net, x: mg.cat([x, x * 2, x[:, :1]], 1),
    "reshape": lambda net, x: x.reshape(-1, 9, 7, 3),
    "sums": lambda net, x: x.sum((1, 2)) + x.mean(1, keepdim=True).mean((2, 3)),
    "clone": lambda net, x: x.clone() + x,
    "one number an image": lambda net, x: x.flatten(1).mean(1),
}  # fmt: skip


class Normalised(nn.Module):
    """Batch norm that learns nothing, and with a weight alone."""

    def __init__(self):
        super().__init__()
        self.plain = nn.BatchNorm2d(3, affine=False)
        self.scaled = nn.BatchNorm2d(3, eps=0.1, bias=False)

    def forward(self, x):
        return self.scaled(self.plain(x))


def test_batch_norm_without_weights(tmp_path):
    check(Normalised(), (3, 5, 5), tmp_path)


@pytest.mark.parametrize("what", WRITTEN)
def test_what_can_be_written(tmp_path, what):
    net = Function(WRITTEN[what])
    path = tmp_path / "m.onnx"
    interchange.export(net, path, (3, 7, 9))
    content, back = path.read_bytes(), interchange.load(path)
    for n in (1, 4):
        x = mg.randn(n, 3, 7, 9)
        with mg.no_grad():
            again = back(x).numpy().copy()
            (other,) = judge.run(content, {"images": x.numpy()})
            y = net(x.clone()).numpy()
        np.testing.assert_allclose(other, y, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(again, y, rtol=1e-4, atol=1e-5)


REFUSED = {
    "operation": (lambda net, x: x.amax(1), "Extremum in the network"),
    "even LRN": (lambda net, x: F.local_response_norm(x, 4), "LocalResponseNorm.*odd size"),
    "divisor": (lambda net, x: F.avg_pool2d(x, 2, divisor_override=3), "divisor_override"),
    "dropout": (lambda net, x: F.dropout(x), "Dropout in the network"),
    "batch statistics": (
        lambda net, x: F.batch_norm(x, None, None, training=True), "keeps no running ones"),
    "mixed images": (lambda net, x: x.reshape(-1, 9), "Reshape.*mixes"),
    "moved batch": (lambda net, x: x.permute(1, 0, 2, 3), "Permute.*moves"),
    "a sum of images": (lambda net, x: x.sum(0), "Sum.*mixes"),
    "a mean of images": (lambda net, x: x.mean((0, 1)), "Mean.*mixes"),
    "more images": (lambda net, x: mg.cat([x, x]), "Concatenate.*mixes"),
    "empty images": (lambda net, x: F.pad(x, (0, 0, 0, 0, 0, 0, 1, 0)), "Pad.*mixes"),
    "one image": (lambda net, x: x[1:2], "GetItem.*drops images"),
    "mask": (lambda net, x: x * (x > 0).float(), "Mul.*neither|Mul.*no parameter"),
    "index": (lambda net, x: x[:, 0], "GetItem.*slices"),
    "number of images": (lambda net, x: x * x.shape[0], "number of images"),
    "a node for each image": (
        lambda net, x: [x := x * 2 for _ in range(len(x))][-1], "number of images"),
    "detached": (lambda net, x: x + x.detach(), "Add.*no parameter"),
    "two results": (lambda net, x: (x, x), "one tensor.*tuple"),
    "no images": (lambda net, x: mg.zeros(3), "must return one tensor"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_written_is_named(tmp_path, what):
    function, match = REFUSED[what]
    with pytest.raises(NotImplementedError, match=match):
        interchange.export(Function(function), tmp_path / "m.onnx", (3, 8, 9))
    assert list(tmp_path.iterdir()) == []


def test_the_layer_is_named(tmp_path):
    net = nn.Sequential(nn.ReLU(), nn.Sequential(nn.LocalResponseNorm(2)))
    with pytest.raises(NotImplementedError, match=r"LocalResponseNorm in 1\.0: "):
        interchange.export(net, tmp_path / "m.onnx", (3, 8, 9))


def test_the_network_is_left_as_it_was(tmp_path):
    """Its mode, layer by layer, its running statistics, its gradients; no hook stays."""
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout())
    net[1].eval()
    before = {key: x.numpy().copy() for key, x in net.state_dict().items()}
    interchange.export(net, tmp_path / "m.onnx", (1, 5, 5))
    assert [module.training for module in net.modules()] == [True, True, False, True]
    for key, x in net.state_dict().items():
        np.testing.assert_array_equal(x.numpy(), before[key])
    assert all(p.grad is None for p in net.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())


def test_a_frozen_network_and_one_under_no_grad(tmp_path):
    net = models.lenet5().requires_grad_(False)
    with mg.no_grad():
        check(net, (1, 28, 28), tmp_path)


def test_other_dtypes(tmp_path):
    net = nn.Sequential(nn.Flatten(), nn.Linear(25, 2), nn.ReLU()).double()
    interchange.export(net, tmp_path / "m.onnx", (1, 5, 5))
    x = mg.randn(3, 1, 5, 5, dtype=mg.float64)
    (other,) = judge.run((tmp_path / "m.onnx").read_bytes(), {"images": x.numpy()})
    np.testing.assert_allclose(other, net(x).detach().numpy(), rtol=1e-12)


def test_another_thread_may_compute_meanwhile(tmp_path):
    """What it does is not part of the network."""
    stop = threading.Event()

    def compute():
        x = mg.ones(2, requires_grad=True)
        while not stop.is_set():
            (x * 2).amax()

    thread = threading.Thread(target=compute)
    thread.start()
    try:
        made = check(models.lenet5(), (1, 28, 28), tmp_path)
    finally:
        stop.set()
        thread.join()
    assert len(made.graph.node) == 12


def test_metadata(tmp_path):
    about = {"classes": ["bag", "größe"], "model": "lenet5", "resize": None}
    interchange.export(models.lenet5(), tmp_path / "m.onnx", (1, 28, 28), about)
    session = onnxruntime.InferenceSession((tmp_path / "m.onnx").read_bytes())
    found = session.get_modelmeta().custom_metadata_map
    assert found["model"] == "lenet5"
    assert found["classes"] == '["bag", "größe"]'
    assert found["resize"] == "null"
    assert interchange.load(tmp_path / "m.onnx").metadata == found


def test_an_older_file_outlives_a_failure(tmp_path, monkeypatch):
    path = tmp_path / "m.onnx"
    path.write_text("older")
    monkeypatch.setattr(onnx.checker, "check_model", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        interchange.export(models.lenet5(), path, (1, 28, 28))
    assert path.read_text() == "older"
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]


@pytest.mark.parametrize("call", ["export", "load"])
def test_without_onnx(tmp_path, monkeypatch, call):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(InputError, match=r'pip install "minigrad\[onnx\]"'):
        if call == "load":
            interchange.load(tmp_path / "m.onnx")
        else:
            interchange.export(models.lenet5(), tmp_path / "m.onnx", (1, 28, 28))
    assert list(tmp_path.iterdir()) == []
