"""Layers against PyTorch's: same weights, same input, then output, gradients, keys and text.

The operations themselves are tested in `tests/ops`; here it is about what a layer adds to them:
its options in the right order and under the right names, its parameters and its buffers.
"""

import numpy as np
import pytest
import torch

import minigrad as mg
from minigrad import nn

rng = np.random.default_rng(0)
IMAGES = rng.standard_normal((3, 4, 9, 8)).astype(np.float32)
ROWS = rng.standard_normal((5, 6)).astype(np.float32)

LINES = IMAGES[..., 0]

LAYERS = [
    ("Conv1d", (4, 6, 3), {}, LINES),
    ("Conv1d", (4, 6, (3,), (2,), (1,), (2,), 2, False), {}, LINES),
    ("Conv1d", (4, 8, 4), {"padding": "same", "groups": 4, "dilation": 2}, LINES),
    ("Conv1d", (4, 8, 3, 2, 1), {"padding_mode": "circular"}, LINES),
    ("Conv2d", (4, 6, (3, 2), 2, (1, 2)), {"padding_mode": "reflect"}, IMAGES),
    ("Conv2d", (4, 6, (5, 3)), {"padding": "same", "padding_mode": "replicate"}, IMAGES),
    ("Conv2d", (4, 6, 3), {"padding": "valid", "padding_mode": "circular"}, IMAGES),
    ("ConvTranspose2d", (4, 6, 3), {}, IMAGES),
    ("ConvTranspose2d", (4, 6, (3, 2), (2, 3), (1, 0), (1, 2), 2, False, (1, 2)), {}, IMAGES),
    ("ConvTranspose2d", (4, 6, 2), {"stride": 2, "padding_mode": "zeros"}, IMAGES),
    ("ConvTranspose1d", (4, 6, 3, 2, 1, 1), {}, LINES),
    ("MaxPool1d", (3, 2), {}, LINES),
    ("MaxPool1d", (3,), {"padding": 1, "dilation": 2, "ceil_mode": True}, LINES),
    ("AvgPool1d", (3,), {}, LINES),
    ("AvgPool1d", ((3,), 2, 1, True, False), {}, LINES),
    ("AdaptiveAvgPool1d", (2,), {}, LINES),
    ("AdaptiveMaxPool1d", (2,), {}, LINES),
    ("AdaptiveMaxPool2d", (3,), {}, IMAGES),
    ("AdaptiveMaxPool2d", ((4, None),), {"return_indices": False}, IMAGES),
    ("LayerNorm", (6,), {}, ROWS),
    ("LayerNorm", ((9, 8), 1e-3), {}, IMAGES),
    ("LayerNorm", ([9, 8],), {"bias": False}, IMAGES),
    ("LayerNorm", (6,), {"elementwise_affine": False}, ROWS),
    ("GroupNorm", (2, 4), {}, IMAGES),
    ("GroupNorm", (4, 4, 1e-3), {"bias": False}, IMAGES),
    ("GroupNorm", (1, 4), {"affine": False}, IMAGES),
    ("InstanceNorm2d", (4,), {}, IMAGES),
    ("InstanceNorm2d", (4, 1e-3, 0.3, True, True), {}, IMAGES),
    ("InstanceNorm2d", (4,), {"affine": True, "bias": False}, IMAGES),
    ("InstanceNorm2d", (4,), {"track_running_stats": True}, IMAGES),
    ("InstanceNorm2d", (4,), {"affine": True}, IMAGES[0]),
    ("InstanceNorm1d", (4,), {"affine": True}, LINES),
    ("GELU", (), {}, ROWS),
    ("GELU", ("tanh",), {}, ROWS),
    ("SiLU", (), {}, ROWS),
    ("SiLU", (True,), {}, ROWS),
    ("ELU", (), {}, ROWS),
    ("ELU", (0.5, True), {}, ROWS),
    ("CELU", (0.5, True), {}, ROWS),
    ("SELU", (True,), {}, ROWS),
    ("Mish", (), {"inplace": True}, ROWS),
    ("Hardswish", (), {}, ROWS),
    ("Hardsigmoid", (), {"inplace": True}, ROWS),
    ("Hardtanh", (), {}, ROWS),
    ("Hardtanh", (-0.5, 0.25, True), {}, ROWS),
    ("ReLU6", (), {}, 5 * ROWS),
    ("ReLU6", (True,), {}, 5 * ROWS),
    ("Softplus", (), {}, ROWS),
    ("Softplus", (3, 0.5), {}, ROWS),
    ("LogSigmoid", (), {}, ROWS),
    ("Softsign", (), {}, ROWS),
    ("Tanhshrink", (), {}, ROWS),
    ("Dropout2d", (0.0,), {}, IMAGES),
    ("Dropout2d", (1.0, True), {}, IMAGES),
    ("Dropout1d", (0.0,), {}, LINES),
    ("PixelShuffle", (2,), {}, IMAGES),
    ("PixelUnshuffle", (3,), {}, IMAGES[:, :, :, :6]),
    ("Upsample", (), {"scale_factor": 2}, IMAGES),
    ("Upsample", (None, (1.5, 0.7), "bilinear", False), {}, IMAGES),
    ("Upsample", ((5, 12), None, "bicubic", True), {}, IMAGES),
    ("Upsample", (5,), {"mode": "linear"}, LINES),
    ("ReflectionPad2d", (2,), {}, IMAGES),
    ("ReplicationPad2d", ((1, 0, 2, 3),), {}, IMAGES),
    ("CircularPad2d", (1,), {}, IMAGES),
    ("ConstantPad2d", ((1, 0, 2, 3), 1.5), {}, IMAGES),
    ("Conv2d", (4, 6, 3), {}, IMAGES),
    ("Conv2d", (4, 6, (3, 2), (2, 1), (1, 0), (1, 2), 2, False), {}, IMAGES),
    ("Conv2d", (4, 8), {"kernel_size": 3, "padding": "same", "groups": 4}, IMAGES),
    ("Conv2d", (4, 8, 3), {"padding": "valid", "stride": 2, "padding_mode": "zeros"}, IMAGES),
    ("Linear", (6, 3), {}, ROWS),
    ("Linear", (6, 3), {"bias": False}, ROWS),
    ("MaxPool2d", (3, 2), {}, IMAGES),
    ("MaxPool2d", (3, 2), {"padding": 1, "dilation": (2, 1), "ceil_mode": True}, IMAGES),
    ("MaxPool2d", ((3, 2), None, (1, 0), 1), {}, IMAGES),
    ("AvgPool2d", (3,), {"stride": 2}, IMAGES),
    ("AvgPool2d", (3, 2, 1, True, False), {}, IMAGES),
    ("AvgPool2d", ((2, 3), (2, 3)), {"divisor_override": 2}, IMAGES),
    ("AdaptiveAvgPool2d", (1,), {}, IMAGES),
    ("AdaptiveAvgPool2d", ((4, None),), {}, IMAGES),
    ("LocalResponseNorm", (3,), {"alpha": 0.7, "beta": 0.6, "k": 2.0}, IMAGES),
    ("LocalResponseNorm", (2, 0.5, 0.75, 1.5), {}, IMAGES),
    ("BatchNorm2d", (4,), {}, IMAGES),
    ("BatchNorm2d", (4, 1e-3, 0.3), {}, IMAGES),
    ("BatchNorm2d", (4,), {"momentum": None}, IMAGES),
    ("BatchNorm2d", (4,), {"affine": False}, IMAGES),
    ("BatchNorm2d", (4,), {"bias": False}, IMAGES),
    ("BatchNorm2d", (4,), {"track_running_stats": False}, IMAGES),
    ("BatchNorm1d", (6,), {}, ROWS),
    ("BatchNorm1d", (4,), {}, IMAGES[..., 0]),
    ("ReLU", (), {}, ROWS),
    ("ReLU", (True,), {}, ROWS),
    ("LeakyReLU", (), {}, ROWS),
    ("LeakyReLU", (0.2,), {"inplace": True}, ROWS),
    ("Sigmoid", (), {}, ROWS),
    ("Tanh", (), {}, ROWS),
    ("Softmax", (1,), {}, ROWS),
    ("LogSoftmax", (), {"dim": -1}, ROWS),
    ("Flatten", (), {}, IMAGES),
    ("Flatten", (2, 3), {}, IMAGES),
    ("Unflatten", (1, (2, 3)), {}, ROWS),
    ("Identity", (1, 2), {"anything": 3}, ROWS),
    ("ZeroPad2d", (2,), {}, IMAGES),
    ("ZeroPad2d", ((1, 0, 2, 3),), {}, IMAGES),
    ("Dropout", (0.0,), {}, ROWS),
    ("Dropout", (1.0, True), {}, ROWS),
]


def pair_of(name, args, options):
    ours = getattr(nn, name)(*args, **options)
    theirs = getattr(torch.nn, name)(*args, **options)
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(1))
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    return ours, theirs


@pytest.mark.parametrize(("name", "args", "options", "x"), LAYERS)
def test_layer_as_pytorch(name, args, options, x):
    ours, theirs = pair_of(name, args, options)
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for step, training in enumerate((True, True, False)):  # twice: a running mean has a past
        ours.train(training)
        theirs.train(training)
        a = mg.tensor(x + step, requires_grad=True)
        b = torch.tensor(x + step, requires_grad=True)
        y, expected = ours(a * 1), theirs(b * 1)  # * 1: a leaf cannot be changed in place
        assert y.dtype == mg.float32
        np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy(), atol=2e-5)
        g = np.random.default_rng(2).standard_normal(y.shape).astype(np.float32)
        y.backward(mg.tensor(g))
        expected.backward(torch.tensor(g))
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), atol=1e-4)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-4, atol=1e-3)
    for p, q in zip(ours.buffers(), theirs.buffers(), strict=True):
        np.testing.assert_allclose(p.numpy(), q.numpy(), atol=1e-5)


def test_max_pool_returns_indices():
    y, indices = nn.MaxPool2d(3, 2, return_indices=True)(mg.tensor(IMAGES))
    expected, where = torch.nn.MaxPool2d(3, 2, return_indices=True)(torch.tensor(IMAGES))
    np.testing.assert_array_equal(y.numpy(), expected.numpy())
    np.testing.assert_array_equal(indices.numpy(), where.numpy())


TARGETS = np.array([0, 5, 2, -100, 3])
WEIGHTS = np.array([0.5, 1.0, 2.0, 1.5, 0.1, 3.0], np.float32)
TENSORS = ("weight", "pos_weight")
LOSSES = [
    ("CrossEntropyLoss", {}, TARGETS),
    ("CrossEntropyLoss", {"weight": WEIGHTS, "label_smoothing": 0.1}, TARGETS),
    ("CrossEntropyLoss", {"ignore_index": 2, "reduction": "none"}, np.abs(TARGETS % 6)),
    ("CrossEntropyLoss", {"reduction": "sum"}, np.full((5, 6), 1 / 6, np.float32)),
    ("NLLLoss", {"weight": WEIGHTS, "reduction": "sum"}, TARGETS),
    ("NLLLoss", {"ignore_index": 5}, np.array([5, 1, 2, 3, 4])),
    ("MSELoss", {}, ROWS[::-1].copy()),
    ("MSELoss", {"reduction": "none"}, ROWS[::-1].copy()),
    ("L1Loss", {}, ROWS[::-1].copy()),
    ("L1Loss", {"reduction": "sum"}, ROWS[::-1].copy()),
    ("SmoothL1Loss", {}, ROWS[::-1].copy()),
    ("SmoothL1Loss", {"beta": 0.3, "reduction": "none"}, ROWS[::-1].copy()),
    ("HuberLoss", {"delta": 0.3, "reduction": "sum"}, ROWS[::-1].copy()),
    ("KLDivLoss", {"reduction": "batchmean"}, np.abs(ROWS)),
    ("KLDivLoss", {"log_target": True, "reduction": "sum"}, ROWS[::-1].copy()),
    ("BCEWithLogitsLoss", {}, np.abs(ROWS) / 4),
    ("BCEWithLogitsLoss", {"weight": WEIGHTS, "pos_weight": WEIGHTS, "reduction": "sum"},
     np.abs(ROWS) / 4),
]


@pytest.mark.parametrize(("name", "options", "target"), LOSSES)
def test_loss_as_pytorch(name, options, target):
    def run(lib):
        given = {k: lib.tensor(v) if k in TENSORS else v for k, v in options.items()}
        module = getattr(lib.nn, name)(**given)
        scores = lib.tensor(ROWS, requires_grad=True)
        loss = module(scores, lib.tensor(target))
        (loss * loss).sum().backward()
        return loss.detach().numpy(), scores.grad.numpy(), repr(module), list(module.state_dict())

    loss, gradient, text, keys = run(mg)
    expected = run(torch)
    assert (text, keys) == expected[2:]
    np.testing.assert_allclose(loss, expected[0], rtol=1e-5)
    np.testing.assert_allclose(gradient, expected[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"weight": WEIGHTS, "reduction": "none"}])
def test_bce_loss_as_pytorch(options):
    """Probabilities, among them 0 and 1, right and wrong: there the logarithms are cut off."""
    p = 1 / (1 + np.exp(-ROWS))
    p[0], t = [0, 1, 0, 1, 0.5, 1], np.abs(ROWS) / 4
    t[0] = [0, 1, 1, 0, 1, 1]

    def run(lib):
        module = lib.nn.BCELoss(**{
            k: lib.tensor(v) if k == "weight" else v for k, v in options.items()
        })
        x = lib.tensor(p, requires_grad=True)
        loss = module(x, lib.tensor(t))
        loss.sum().backward()
        return loss.detach().numpy(), x.grad.numpy(), repr(module), list(module.state_dict())

    loss, gradient, text, keys = run(mg)
    expected = run(torch)
    assert (text, keys) == expected[2:]
    np.testing.assert_allclose(loss, expected[0], rtol=1e-5)
    np.testing.assert_allclose(gradient, expected[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("flags", [
    {"size_average": True}, {"size_average": False}, {"reduce": False}, {"reduce": True},
    {"size_average": False, "reduce": True}, {"size_average": True, "reduce": False},
])
@pytest.mark.parametrize("name", [
    "MSELoss", "L1Loss", "SmoothL1Loss", "KLDivLoss", "BCELoss", "BCEWithLogitsLoss", "NLLLoss",
    "CrossEntropyLoss",
])
@pytest.mark.filterwarnings("ignore:.*reduction")
def test_losses_take_the_flags_of_before_reduction(name, flags):
    function = {
        "MSELoss": "mse_loss", "L1Loss": "l1_loss", "SmoothL1Loss": "smooth_l1_loss",
        "KLDivLoss": "kl_div", "BCELoss": "binary_cross_entropy", "NLLLoss": "nll_loss",
        "BCEWithLogitsLoss": "binary_cross_entropy_with_logits",
        "CrossEntropyLoss": "cross_entropy",
    }[name]
    x = np.random.default_rng(1).uniform(0.1, 0.9, (5, 6))
    y = np.arange(5) if name in ("NLLLoss", "CrossEntropyLoss") else x[::-1].copy()
    expected = getattr(torch.nn, name)(**flags)(torch.tensor(x), torch.tensor(y)).numpy()
    tensors = mg.tensor(x), mg.tensor(y)
    for found in (getattr(nn, name)(**flags)(*tensors),
                  getattr(nn.functional, function)(*tensors, **flags)):
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)


def test_the_flags_of_before_reduction_say_what_to_write_now():
    with pytest.warns(UserWarning, match="say reduction='sum'"):
        nn.functional.mse_loss(mg.tensor(ROWS), mg.tensor(ROWS), size_average=False)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name", ["mse_loss", "l1_loss"])
def test_weighted_differences_are_pytorchs(name, reduction):
    results = []
    for lib in (mg, torch):
        x, y, w = (lib.tensor(a, requires_grad=True) for a in (ROWS, ROWS[::-1] * 2, ROWS**2))
        loss = getattr(lib.nn.functional, name)(x, y, reduction=reduction, weight=w)
        loss.sum().backward()
        results.append([loss.detach().numpy(), *(t.grad.numpy() for t in (x, y, w))])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match=r"weight \(6,\) must have the shape of input \(5, 6\)"):
        getattr(nn.functional, name)(*map(mg.tensor, (ROWS, ROWS)), weight=mg.ones(6))


def test_transposed_convolution_of_a_wanted_size():
    ours, theirs = pair_of("ConvTranspose2d", (4, 3, (2, 3), 2), {"padding": (0, 1)})
    y = ours(mg.tensor(IMAGES), output_size=(*IMAGES.shape[:2], 18, 16))
    expected = theirs(torch.tensor(IMAGES), output_size=(18, 16))
    np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy(), atol=2e-5)
    with pytest.raises(ValueError, match=r"of \(20, 16\), .* from \[18, 15\] to \[19, 16\]"):
        ours(mg.tensor(IMAGES), output_size=(20, 16))


def test_adaptive_max_pool_returns_indices():
    y, indices = nn.AdaptiveMaxPool2d(4, return_indices=True)(mg.tensor(IMAGES))
    expected, where = torch.nn.AdaptiveMaxPool2d(4, return_indices=True)(torch.tensor(IMAGES))
    np.testing.assert_array_equal(y.numpy(), expected.numpy())
    np.testing.assert_array_equal(indices.numpy(), where.numpy())


@pytest.mark.parametrize("name", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize("shape", [(), (4,), (3, 4), (2, 3, 4), (2, 3, 2, 2)])
def test_a_dimension_that_is_not_said_is_guessed_as_pytorch_guesses(name, shape):
    x = rng.standard_normal(shape)
    with pytest.warns(UserWarning):
        expected = getattr(torch.nn, name)()(torch.tensor(x)).numpy()
    function = {"Softmax": "softmax", "LogSoftmax": "log_softmax"}[name]
    for ours in (getattr(nn, name)(), getattr(nn.functional, function)):
        with pytest.warns(UserWarning, match="along which dimension"):
            np.testing.assert_allclose(ours(mg.tensor(x)).numpy(), expected, rtol=1e-12)
    assert repr(getattr(nn, name)()) == repr(getattr(torch.nn, name)())


def test_dropout_layer():
    mg.manual_seed(0)
    layer = nn.Dropout(0.25)
    x = mg.ones(200, 100)
    y = layer(x).numpy()
    assert set(np.unique(y)) == {0.0, np.float32(1 / 0.75)}
    assert abs((y == 0).mean() - 0.25) < 0.01
    assert not np.array_equal(y, layer(x).numpy())
    mg.manual_seed(0)
    np.testing.assert_array_equal(y, layer(x).numpy())
    assert (layer.eval()(x).numpy() == 1).all()


@pytest.mark.parametrize(("name", "args"), [
    ("Conv2d", (3, 4, 5)), ("Linear", (7, 4)), ("Conv1d", (3, 4, 5)),
    ("ConvTranspose2d", (3, 4, 2)),
])
def test_default_initialisation(name, args):
    """Uniform within +-1/sqrt(fan_in), weight and bias; reproducible; another one each time."""
    many = (args[0], 4000, *args[2:])
    mg.manual_seed(3)
    layer, other = getattr(nn, name)(*many), getattr(nn, name)(*many)
    theirs = getattr(torch.nn, name)(*many)
    bound = 1 / np.sqrt(np.prod(layer.weight.shape[1:]))
    for ours, expected in ((layer.weight, theirs.weight), (layer.bias, theirs.bias)):
        values = ours.detach().numpy()
        assert 0.99 * bound < np.abs(values).max() <= bound
        assert abs(values.std() - expected.detach().numpy().std()) < 0.03 * bound
        assert abs(values.mean()) < 0.03 * bound
    assert not np.array_equal(layer.weight.detach().numpy(), other.weight.detach().numpy())
    mg.manual_seed(3)
    again = getattr(nn, name)(*many)
    np.testing.assert_array_equal(layer.weight.detach().numpy(), again.weight.detach().numpy())
    np.testing.assert_array_equal(layer.bias.detach().numpy(), again.bias.detach().numpy())


@pytest.mark.parametrize("dtype", [mg.float16, mg.float64])
def test_device_and_dtype_arguments(dtype):
    for layer in (
        nn.Linear(2, 3, device="cpu", dtype=dtype),
        nn.Conv2d(1, 2, 3, device="cpu", dtype=dtype),
        nn.BatchNorm2d(2, device="cpu", dtype=dtype),
        nn.ConvTranspose1d(1, 2, 3, device="cpu", dtype=dtype),
        nn.LayerNorm(2, device="cpu", dtype=dtype),
        nn.GroupNorm(1, 2, device="cpu", dtype=dtype),
        nn.InstanceNorm1d(2, affine=True, track_running_stats=True, device="cpu", dtype=dtype),
    ):
        assert {p.dtype for p in layer.parameters()} == {dtype}
        assert {b.dtype for b in layer.buffers()} <= {dtype, mg.int64}


def test_batch_norm_reset():
    layer = nn.BatchNorm2d(4)
    layer(mg.tensor(IMAGES))
    layer.reset_parameters()
    fresh = nn.BatchNorm2d(4).state_dict()
    for key, value in layer.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), fresh[key].numpy())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Conv2d(3, 4, 3, groups=2), r"\[Conv2d\] in_channels \(3\) .* groups \(2\)"),
        (lambda: nn.Conv2d(4, 3, 3, groups=2), r"\[Conv2d\] out_channels \(3\) .* groups \(2\)"),
        (lambda: nn.Conv2d(4, 4, 3, groups=0), r"groups must be a positive integer, got 0"),
        (lambda: nn.Conv2d(4, 4, 3, padding="full"), "Invalid padding string 'full'"),
        (lambda: nn.Conv2d(4, 4, 3, 2, "same"), "not supported for strided"),
        (lambda: nn.Conv2d(4, 4, 3, padding_mode="mirror"), "must be one of 'zeros', 'reflect'"),
        (lambda: nn.ConvTranspose2d(4, 4, 3, padding_mode="reflect"), "one of 'zeros', got 'refl"),
        (lambda: nn.ConvTranspose2d(4, 4, 3, padding="same"), r"\[ConvTranspose2d\] Invalid pad"),
        (lambda: nn.ConvTranspose1d(3, 4, 3, groups=2), r"\[ConvTranspose1d\] in_channels \(3\)"),
        (lambda: nn.Conv1d(4, 4, (3, 3)), r"\[Conv1d\] kernel_size must be an integer or a tuple"),
        (lambda: nn.GroupNorm(3, 4), r"num_channels \(4\) must be divisible by num_groups \(3\)"),
        (lambda: nn.Hardtanh(1, 1), r"max_val \(1\) must be larger than 1"),
        (lambda: nn.InstanceNorm2d(4)(mg.ones(2, 4)), r"expected 3D or 4D input \(got 2D input\)"),
        (lambda: nn.InstanceNorm1d(4, affine=True)(mg.ones(2, 5, 3)), r"\(4\), but got: 5"),
        (lambda: nn.AvgPool1d((1, 2)), r"\[AvgPool1d\] kernel_size must be an integer or a tuple"),
        (lambda: nn.Conv2d(4, 4, (3, 3, 3)), r"\[Conv2d\] kernel_size must be"),
        (lambda: nn.Dropout(1.5), "between 0 and 1, but got 1.5"),
        (lambda: nn.BatchNorm2d(4)(mg.ones(2, 4)), r"expected 4D input \(got 2D input\)"),
        (lambda: nn.BatchNorm1d(4)(mg.ones(2, 4, 1, 1)), r"expected 2D or 3D input \(got 4D"),
        (lambda: nn.BatchNorm2d(4)(mg.ones(1, 4, 1, 1)), "more than 1 value per channel"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
