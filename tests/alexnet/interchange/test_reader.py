"""Networks of others: those that the onnx package ships, and files that are damaged or hostile."""

import resource
import tracemalloc
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.backend.test.runner import Runner

import minigrad as mg
from alexnet import interchange
from alexnet.interchange import operators
from minigrad import nn
from minigrad.kernels.cpu import memory
from minigrad.utils.raw import LoadError
from tests.alexnet.interchange import judge

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
NAMES = sorted(path.stem for path in LIGHT.glob("*.onnx"))


def pictures(net):
    """What onnx's own test of these networks feeds them: 0, 1/n, 2/n, ..."""
    return [mg.Tensor(Runner.generate_dummy_data(value)) for value in net._inputs]


def test_the_light_networks_are_there():
    assert {"light_bvlc_alexnet", "light_vgg19", "light_inception_v1", "light_resnet50"} <= {*NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_published_networks(name):
    net = interchange.load(LIGHT / f"{name}.onnx")
    stored = (LIGHT / f"{name}_output_0.pb").read_bytes()
    expected = numpy_helper.to_array(TensorProto.FromString(stored))
    with mg.no_grad():
        y = net(*pictures(net)).numpy()
    np.testing.assert_allclose(y, expected, rtol=1e-3, atol=1e-7)  # the tolerances of onnx's runner


@pytest.mark.parametrize("name", ["light_bvlc_alexnet", "light_inception_v1", "light_shufflenet"])
def test_inside_published_networks(tmp_path, name):
    """Their weights are all the same, and so are all classes: look at the images in the middle."""
    model = onnx.load(LIGHT / f"{name}.onnx")
    last = [node for node in model.graph.node if node.op_type in ("MaxPool", "Concat")][-1]
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info(last.output[0], 1, [None] * 4))
    onnx.save(model, tmp_path / "m.onnx")
    net = interchange.load(tmp_path / "m.onnx")
    (x,) = pictures(net)
    with mg.no_grad():
        y = net(x).numpy()
    (expected,) = judge.run((tmp_path / "m.onnx").read_bytes(), {net._inputs[0].name: x.numpy()})
    assert np.ptp(expected) > 0
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


# ----------------------------------------------------------------------------- files made by hand


def floats(name, *shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def ones(name, *shape):
    return numpy_helper.from_array(np.ones(shape, np.float32), name)


def sizes(name, *numbers):
    return numpy_helper.from_array(np.array(numbers, np.int64), name)


def model(nodes, weights=(), inputs=(("x", 2, 3),), outputs=(("y", None, None),), **options):
    """A file's content; a node is (operator, inputs, outputs, attributes)."""
    options = {"opset_imports": [helper.make_opsetid("", 13)], "ir_version": 8, **options}
    graph = helper.make_graph(
        [helper.make_node(op, i, o, **a) for op, i, o, a in nodes], "g",
        [floats(*value) for value in inputs], [floats(*value) for value in outputs], list(weights),
    )  # fmt: skip
    return helper.make_model(graph, **options)


@pytest.fixture
def load(tmp_path):
    """Load a model, or a file's bytes."""

    def load(content):
        content = content if isinstance(content, bytes) else content.SerializeToString()
        (tmp_path / "m.onnx").write_bytes(content)
        return interchange.load(tmp_path / "m.onnx")

    return load


RELU = [("Relu", ["x"], ["y"], {})]
ADD = [("Add", ["x", "w"], ["y"], {})]


def test_several_inputs_and_outputs(load):
    nodes = [("Add", ["x", "z"], ["y"], {}), ("Neg", ["y"], ["n"], {})]
    net = load(model(nodes, inputs=[("x", 2), ("z", 2)], outputs=[("y", 2), ("n", 2)]))
    y, n = net(mg.tensor([1.0, 2.0]), mg.tensor([10.0, 20.0]))
    assert (y.tolist(), n.tolist()) == ([11.0, 22.0], [-11.0, -22.0])
    assert repr(net) == "Network(x, z -> y, n, 2 nodes)"
    with pytest.raises(ValueError, match=r"expected 2 inputs \(x, z\)"):
        net(mg.ones(2))


def test_weights_are_parameters_and_learn(load):
    net = load(model(ADD, [ones("w", 3)]))
    assert isinstance(net.w, nn.Parameter)
    net(mg.zeros(2, 3)).sum().backward()
    assert net.w.grad.tolist() == [2.0, 2.0, 2.0]


def test_running_statistics_are_no_parameters(load):
    nodes = [("BatchNormalization", ["x", "w", "b", "m", "v"], ["y"], {})]
    net = load(model(nodes, [ones(name, 3) for name in "wbmv"]))
    assert [name for name, _ in net.named_parameters()] == ["w", "b"]
    assert list(net.state_dict()) == ["w", "b", "m", "v"]


@pytest.mark.parametrize(
    "name", ["a.b.c", "a", "forward", ".", "a..b", "w/0", "training.x", "_plan", "m." * 5000 + "w"]
)
def test_any_name_of_a_weight_will_do(load, name):
    nodes = [("Add", ["x", name], ["s"], {}), ("Add", ["s", "a.b"], ["y"], {})]
    net = load(model(nodes, [ones("a.b", 3), ones(name, 3)]))
    assert net(mg.zeros(2, 3)).tolist() == [[2.0] * 3] * 2
    assert len(list(net.parameters())) == 2


def test_an_error_is_short_and_can_be_printed(load):
    """However long what it quotes is, and whatever it would do to a terminal."""
    with pytest.raises(NotImplementedError, match=r"m\.onnx: node 'y' \(\[31mA") as caught:
        load(model([("\x1b[31m" + "A" * 10**6, ["x"], ["y"], {})]))
    assert len(str(caught.value)) < 700


def test_what_is_not_needed_is_not_computed(load):
    """The second node would need 8 GiB, but nobody reads what it gives."""
    nodes = [*RELU, ("ConstantOfShape", ["s"], ["unused"], {})]
    assert load(model(nodes, [sizes("s", 1 << 31)]))(mg.ones(2, 3)).tolist() == [[1.0] * 3] * 2


def test_constants_are_made_when_they_are_needed_and_freed_after(load):
    """A chain of 40 sums, each with 4 MB that a node at the beginning makes."""
    n = 1 << 20
    makers = [("ConstantOfShape", ["s"], [f"c{i}"], {}) for i in range(40)]
    sums = [("Add", [f"v{i}", f"c{i}"], [f"v{i + 1}"], {}) for i in range(40)]
    net = load(model(
        [*makers, ("Expand", ["x", "s"], ["v0"], {}), *sums], [sizes("s", n)],
        inputs=[("x", 1)], outputs=[("v40", None)],
    ))  # fmt: skip
    before, held = memory.used_bytes(), []
    with mg.no_grad(), mg.autograd.watch_calls(lambda *_: held.append(memory.used_bytes())):
        net(mg.ones(1))
    assert 0 < max(held) - before <= 8 * 4 * n


def test_an_input_of_another_size(load):
    net = load(model(RELU))
    with pytest.raises(ValueError, match=r"x must be \(2, 3\), not \(3, 3\)"):
        net(mg.zeros(3, 3))


def external(location):
    tensor = ones("w", 3)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return tensor


def of_dims(*dims, data=b""):
    return TensorProto(name="w", data_type=TensorProto.FLOAT, dims=dims, raw_data=data)


def with_functions():
    function = helper.make_function("", "Relu", ["x"], ["y"], [
        helper.make_node("Neg", ["x"], ["y"])], [helper.make_opsetid("", 13)])  # fmt: skip
    return model(RELU, functions=[function])


def with_branch():
    inner = helper.make_graph([], "inner", [], [], [external("/etc/passwd")])
    return model([("If", ["x"], ["y"], {"then_branch": inner, "else_branch": inner})])


def with_sparse():
    made = model(ADD)
    made.graph.sparse_initializer.append(
        helper.make_sparse_tensor(ones("w", 1), sizes("i", 1), [3])
    )
    return made


GOOD = model(ADD, [ones("w", 3)]).SerializeToString()

BAD = {
    "empty": (b"", "no graph"),
    "text": (b"import os\n" * 9, "no ONNX file"),
    "pickle": (b"\x80\x04cos\nsystem\n(S'true'\ntR.", "no ONNX file"),
    "cut off": (GOOD[:-20], "no ONNX file"),
    "cut in half": (GOOD[: len(GOOD) // 2], "no ONNX file"),
    "a cycle": (
        model([("Add", ["x", "b"], ["a"], {}), ("Neg", ["a"], ["b"], {}),
               ("Neg", ["b"], ["y"], {})]), "topologically sorted|not output of any previous"),
    "reads itself": (model([("Add", ["x", "y"], ["y"], {})]), "topologically|not output"),
    "a name that is nobody's": (model([("Relu", ["q"], ["y"], {})]), "'?q'?"),
    "one name twice": (model([*RELU, *RELU]), "y"),
    "output of nobody": (model(RELU, outputs=[("z", None)]), "z"),
    "shapes that do not fit": (model(ADD, [ones("w", 4)]), "[Ii]ncompatible|dimension"),
    "weights that do not fit": (
        model([("Gemm", ["x", "w"], ["y"], {})], [ones("w", 4, 4)]), "Gemm.*(ncompat|imension)"),
    "too few inputs": (model([("Conv", ["x"], ["y"], {})]), "input"),
    "attribute of another type": (
        model([("Concat", ["x"], ["y"], {"axis": "1"})]), "axis"),
    "no opset": (model(RELU, opset_imports=[]), "opset"),
    "10^12 numbers that are not there": (model(ADD, [of_dims(10**12)]), "."),
    "10^24 numbers that are not there": (model(ADD, [of_dims(10**12, 10**12)]), "."),
    "a size below 0": (model(ADD, [of_dims(-1, data=b"abcd")]), "."),
    "fewer numbers than sizes": (model(ADD, [of_dims(3, data=b"abcd")]), "."),
    "another file": (model(ADD, [external("weights.bin")]), "in another file"),
    "a file outside": (model(ADD, [external("../../etc/passwd")]), "in another file"),
    "an absolute path": (model(ADD, [external("/etc/passwd")]), "in another file"),
    "another file in an attribute": (
        model([("Constant", [], ["w"], {"value": external("/etc/passwd")}), *ADD]),
        "in another file"),
    "another file in a branch": (with_branch(), "in another file"),
    "text as weights": (
        model(ADD, [TensorProto(name="w", data_type=8, dims=[3], string_data=[b"a"] * 3)]), "."),
    "no output": (model([("Relu", ["x"], [], {})]), "output"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_bad_files_are_refused_in_one_line(load, what):
    content, match = BAD[what]
    tracemalloc.start()
    try:
        with pytest.raises(LoadError, match=match) as caught:
            load(content)
        assert tracemalloc.get_traced_memory()[1] < 5e6
    finally:
        tracemalloc.stop()
    assert "m.onnx" in str(caught.value)
    assert "\n" not in str(caught.value)


UNKNOWN = {
    "operator": (
        model([("Det", ["x"], ["y"], {})]), r"node 'y' \(Det, opset 13\): there is no such op"),
    "domain": (
        model([("Relu", ["x"], ["y"], {"domain": "com.other"})]), "no such operator here of com"),
    "attribute": (
        model([("Relu", ["x"], ["y"], {"slope": 1.0})]), r"'y' \(Relu, opset 13\).* slope"),
    "old opset": (model(RELU, opset_imports=[helper.make_opsetid("", 6)]), "opset 6 .* 7 to 25"),
    "new opset": (model(RELU, opset_imports=[helper.make_opsetid("", 99)]), "opset 99"),
    "sparse weights": (with_sparse(), "sparse weights"),
    "functions": (with_functions(), "functions of its own"),
    "second output": (
        model([("MaxPool", ["x"], ["m", "i"], {"kernel_shape": [1, 1]}),
               ("Gather", ["w", "i"], ["y"], {})], [ones("w", 9)], [("x", 1, 1, 1, 1)],
              [("y", *[None] * 4)]),
        "only its first output"),
}  # fmt: skip


@pytest.mark.parametrize("what", UNKNOWN)
def test_what_is_not_known_is_named(load, what):
    content, match = UNKNOWN[what]
    with pytest.raises(NotImplementedError, match=match):
        load(content)


MUCH = 10**12
ABSURD = {
    "ConstantOfShape": ([("ConstantOfShape", ["s"], ["y"], {})], [sizes("s", MUCH, 1)]),
    "Expand": ([("Expand", ["w", "s"], ["y"], {})], [ones("w", 1), sizes("s", MUCH, 3)]),
    "Pad": ([("Pad", ["x", "s"], ["y"], {})], [sizes("s", 0, MUCH, 0, 0)]),
    "Add": (
        [("Reshape", ["w", "s"], ["c"], {}), ("Reshape", ["w", "t"], ["r"], {}),
         ("Add", ["c", "r"], ["y"], {})],
        [ones("w", 1 << 16), sizes("s", -1, 1), sizes("t", 1, -1)]),
    "MatMul": (
        [("Reshape", ["w", "s"], ["c"], {}), ("Reshape", ["w", "t"], ["r"], {}),
         ("MatMul", ["c", "r"], ["y"], {})],
        [ones("w", 1 << 16), sizes("s", -1, 1), sizes("t", 1, -1)]),
    "Concat": (
        [("ConstantOfShape", ["s"], ["c0"], {}),
         *(("Concat", [f"c{i}"] * 16, [f"c{i + 1}"], {"axis": 0}) for i in range(9)),
         ("Identity", ["c9"], ["y"], {})], [sizes("s", 1, 1)]),
    "Gather": (
        [("Gather", ["w", "s"], ["y"], {})], [ones("w", 1, 1 << 20), sizes("s", *[0] * 1024)]),
    "Conv": (
        [("Unsqueeze", ["x", "s"], ["i"], {}),
         ("Conv", ["i", "w"], ["j"], {"pads": [MUCH, 0, MUCH, 0]}),
         ("Flatten", ["j"], ["y"], {})],
        [ones("w", 1, 1, 1, 1), sizes("s", 0, 1)]),
    "AveragePool": (
        [("Unsqueeze", ["x", "s"], ["i"], {}),
         ("AveragePool", ["i"], ["j"],
          {"kernel_shape": [MUCH, 1], "strides": [2 * MUCH, 1], "ceil_mode": 1}),
         ("Flatten", ["j"], ["y"], {})],
        [sizes("s", 0, 1)]),
    "MaxPool": (
        [("Unsqueeze", ["x", "s"], ["i"], {}),
         ("MaxPool", ["i"], ["j"], {"kernel_shape": [1, 1], "pads": [MUCH, 0, MUCH, 0]}),
         ("Flatten", ["j"], ["y"], {})],
        [sizes("s", 0, 1)]),
}  # fmt: skip


@pytest.mark.parametrize("op", ABSURD)
def test_absurd_sizes_are_refused_before_there_is_memory(load, monkeypatch, op):
    """By the shapes alone when the file is read, or by the operator when it runs."""
    monkeypatch.setattr(operators, "LARGEST", 1 << 22)
    nodes, weights = ABSURD[op]
    content = model(nodes, weights)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(RuntimeError, match=rf"\({op}, opset 13\).*larger than 0.00390625 GiB"):
        load(content)(mg.zeros(2, 3))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10  # in KiB


def test_damage_anywhere_is_refused_or_harmless(load):
    """One byte changed at a time: an error of the kinds that are promised, or a network."""
    made = model(
        [("Conv", ["x", "w"], ["c"], {"pads": [1, 1, 1, 1]}), ("Relu", ["c"], ["r"], {}),
         ("MaxPool", ["r"], ["m"], {"kernel_shape": [2, 2]}), ("Flatten", ["m"], ["y"], {})],
        [ones("w", 2, 1, 3, 3)], inputs=[("x", 1, 1, 4, 4)],
    ).SerializeToString()  # fmt: skip
    rng = np.random.default_rng(0)
    outcomes = set()
    for place in rng.integers(0, len(made), 300):
        damaged = bytearray(made)
        damaged[place] ^= 1 << rng.integers(8)
        try:
            net = load(bytes(damaged))
            net(mg.ones(1, 1, 4, 4))
            outcomes.add("works")
        except (LoadError, NotImplementedError) as error:
            outcomes.add(type(error))
        except (ValueError, RuntimeError):  # sizes that only the images show to be wrong
            outcomes.add("refused when it ran")
    assert outcomes >= {"works", LoadError, NotImplementedError}
