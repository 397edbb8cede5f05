"""Each operator as a graph of one node, against onnxruntime."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import minigrad as mg
from alexnet import interchange
from tests.alexnet.interchange import judge

RNG = np.random.default_rng(0)
IMAGE = RNG.standard_normal((2, 6, 7, 9)).astype(np.float32)
MATRIX = RNG.standard_normal((4, 6)).astype(np.float32)
W = RNG.standard_normal((4, 3, 3, 2)).astype(np.float32)
LONG = RNG.random((6,)).astype(np.float32)
ints = np.int64


def one_node(op, opset, inputs, attributes):
    """The bytes of a file; arrays of floats are its inputs, of integers its initializers."""
    names = [f"x{i}" if x is not None else "" for i, x in enumerate(inputs)]
    there = [(n, x) for n, x in zip(names, inputs, strict=True) if x is not None]
    floats = [(n, x) for n, x in there if x.dtype != ints]
    fixed = [numpy_helper.from_array(x, n) for n, x in there if x.dtype == ints]
    given = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
        for n, x in floats
    ]
    kind = attributes.get("to", TensorProto.INT64 if op == "Shape" else TensorProto.FLOAT)
    out = helper.make_tensor_value_info("y", kind, None)
    node = helper.make_node(op, names, ["y"], **attributes)
    model = helper.make_model(
        helper.make_graph([node], "one", given, [out], fixed), ir_version=8,
        opset_imports=[helper.make_opsetid("", opset)],
    )
    return onnx.shape_inference.infer_shapes(model).SerializeToString(), dict(floats)


def rows(*sizes):
    return np.array(sizes, ints)


CASES = [
    # Convolution: explicit and automatic padding, the odd pixel after or before.
    ("Conv", 11, [IMAGE, W], dict(group=2, pads=[1, 0, 1, 0])),
    ("Conv", 11, [IMAGE, W, LONG[:4]], dict(group=2, pads=[0, 2, 1, 1], strides=[2, 1])),
    ("Conv", 11, [IMAGE, W], dict(group=2, auto_pad="SAME_UPPER", strides=[2, 2])),
    ("Conv", 11, [IMAGE, W], dict(group=2, auto_pad="SAME_LOWER")),
    ("Conv", 11, [IMAGE, W], dict(group=2, auto_pad="VALID", dilations=[2, 3])),
    # Pools: windows that hang over, borders that differ from side to side, padding in the mean.
    ("MaxPool", 12, [IMAGE], dict(kernel_shape=[3, 3], strides=[2, 2])),
    ("MaxPool", 12, [IMAGE], dict(kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)),
    ("MaxPool", 12, [IMAGE], dict(kernel_shape=[3, 2], strides=[3, 2], ceil_mode=1,
                                  pads=[1, 0, 1, 1])),
    ("MaxPool", 12, [IMAGE], dict(kernel_shape=[3, 3], pads=[0, 0, 1, 1], strides=[2, 2])),
    ("MaxPool", 12, [IMAGE], dict(kernel_shape=[3, 3], pads=[2, 2, 2, 2])),
    ("MaxPool", 12, [IMAGE], dict(kernel_shape=[2, 3], dilations=[2, 2], auto_pad="VALID")),
    ("MaxPool", 12, [IMAGE], dict(kernel_shape=[2, 2], auto_pad="SAME_LOWER")),
    ("AveragePool", 11, [IMAGE], dict(kernel_shape=[3, 3], pads=[1, 1, 1, 1])),
    ("AveragePool", 11, [IMAGE], dict(kernel_shape=[3, 3], pads=[1, 1, 1, 1],
                                      count_include_pad=1)),
    ("AveragePool", 11, [IMAGE], dict(kernel_shape=[7, 7], pads=[0, 0, 1, 1])),
    ("AveragePool", 11, [IMAGE], dict(kernel_shape=[3, 3], pads=[0, 1, 1, 0], strides=[2, 1],
                                      count_include_pad=1)),
    ("AveragePool", 11, [IMAGE], dict(kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)),
    ("AveragePool", 11, [IMAGE], dict(kernel_shape=[3, 3], auto_pad="SAME_UPPER",
                                      strides=[2, 2])),
    ("GlobalAveragePool", 9, [IMAGE], {}),
    ("GlobalMaxPool", 9, [IMAGE], {}),
    # Layers.
    ("LRN", 9, [IMAGE], dict(size=5, alpha=0.7, beta=0.6, bias=1.5)),
    ("LRN", 9, [IMAGE], dict(size=3)),
    ("LRN", 9, [IMAGE], dict(size=31, alpha=5.0)),
    ("Gemm", 13, [MATRIX, MATRIX.T.copy()], {}),
    ("Gemm", 13, [MATRIX, MATRIX, LONG[:1]], dict(transB=1, alpha=0.5, beta=2.0)),
    ("Gemm", 9, [MATRIX, MATRIX, LONG], dict(transA=1)),
    ("Gemm", 9, [MATRIX, MATRIX, LONG[:4, None].copy()], dict(transB=1)),
    ("MatMul", 13, [MATRIX, IMAGE[..., :6, :]], {}),
    ("BatchNormalization", 9, [IMAGE, LONG, LONG - 1, LONG * 3, LONG + 1], dict(epsilon=0.1)),
    ("BatchNormalization", 15, [IMAGE, LONG, LONG - 1, LONG * 3, LONG + 1], {}),
    ("Dropout", 10, [IMAGE], dict(ratio=0.9)),
    ("Softmax", 9, [IMAGE], {}),
    ("Softmax", 11, [IMAGE], dict(axis=2)),
    ("Softmax", 13, [IMAGE], {}),
    ("Softmax", 13, [IMAGE], dict(axis=1)),
    ("LogSoftmax", 9, [IMAGE], {}),
    ("LogSoftmax", 13, [IMAGE], dict(axis=2)),
    # Element by element.
    *((op, 13, [IMAGE, LONG[:1] + 2], {}) for op in ("Add", "Sub", "Mul", "Div")),
    ("Add", 7, [IMAGE, IMAGE[:1, :, :1]], {}),
    ("Pow", 13, [np.abs(IMAGE), LONG[:1]], {}),
    *((op, 13, [IMAGE], {}) for op in ("Relu", "Sigmoid", "Tanh", "Exp", "Abs", "Neg", "Identity")),
    *((op, 13, [np.abs(IMAGE)], {}) for op in ("Log", "Sqrt")),
    ("LeakyRelu", 9, [IMAGE], dict(alpha=0.2)),
    ("LeakyRelu", 9, [IMAGE], {}),
    ("Sum", 8, [MATRIX, LONG, MATRIX[:, :1].copy()], {}),
    ("Max", 13, [IMAGE, IMAGE[:1] * 2, IMAGE[..., :1]], {}),
    ("Min", 13, [IMAGE, IMAGE[:, :1]], {}),
    ("Sin", 13, [IMAGE], {}),
    ("Cos", 13, [IMAGE], {}),
    ("Sum", 8, [MATRIX], {}),
    ("ReduceMean", 13, [IMAGE], dict(axes=[2, -1])),
    ("ReduceMean", 18, [IMAGE, rows(1)], dict(keepdims=0)),
    ("ReduceMean", 18, [IMAGE, None], dict(noop_with_empty_axes=1)),
    ("ReduceSum", 13, [IMAGE, rows(1, 2)], {}),
    ("ReduceSum", 11, [IMAGE], {}),
    # Shapes.
    ("Reshape", 9, [IMAGE, rows(0, -1, 3)], {}),
    ("Flatten", 9, [IMAGE], {}),
    ("Flatten", 9, [IMAGE], dict(axis=0)),
    ("Flatten", 13, [IMAGE], dict(axis=-1)),
    ("Transpose", 9, [IMAGE], {}),
    ("Transpose", 9, [IMAGE], dict(perm=[0, 2, 3, 1])),
    ("Squeeze", 9, [IMAGE[:1, :, :1]], dict(axes=[2])),
    ("Squeeze", 13, [IMAGE[:1, :, :1], rows(0, 2)], {}),
    ("Squeeze", 13, [IMAGE[:1, :, :1]], {}),
    ("Unsqueeze", 9, [LONG], dict(axes=[2, 0])),
    ("Unsqueeze", 13, [MATRIX, rows(-1, 1)], {}),
    ("Concat", 9, [IMAGE, IMAGE], dict(axis=1)),
    ("Concat", 13, [IMAGE, IMAGE], dict(axis=-1)),
    ("Expand", 13, [LONG, rows(2, 1, 6)], {}),
    ("Gather", 13, [IMAGE, rows(3, 0, -1)], dict(axis=2)),
    ("Slice", 9, [IMAGE], dict(starts=[1, -3], ends=[2, 1 << 40], axes=[0, 3])),
    ("Slice", 13, [IMAGE, rows(0, 1), rows(9, -1), rows(1, -1), rows(2, 3)], {}),
    ("Slice", 13, [IMAGE, rows(1), rows(2)], {}),
    ("Pad", 9, [IMAGE], dict(pads=[0, 0, 1, 2, 0, 1, 0, 3], value=0.5)),
    ("Pad", 13, [IMAGE, rows(0, 0, 1, -2, 0, 1, 0, 3)], {}),
    ("Pad", 13, [MATRIX, rows(1, 0, 0, 1), np.array(7, np.float32)], {}),
    ("Cast", 13, [IMAGE * 5], dict(to=TensorProto.INT64)),
    ("Cast", 13, [IMAGE], dict(to=TensorProto.DOUBLE)),
    ("Shape", 15, [IMAGE], dict(start=1, end=-1)),
    ("Constant", 13, [], dict(value_floats=[1.0, 2.0])),
    ("Constant", 13, [], dict(value_float=0.5)),
    ("Constant", 9, [], dict(value=numpy_helper.from_array(MATRIX))),
    ("ConstantOfShape", 9, [rows(2, 3)], {}),
    ("ConstantOfShape", 9, [rows(4)], dict(value=numpy_helper.from_array(LONG[:1]))),
]  # fmt: skip


@pytest.mark.parametrize(
    ("op", "opset", "inputs", "attributes"), CASES,
    ids=[f"{op}-{opset}-{i}" for i, (op, opset, *_) in enumerate(CASES)],
)
def test_one_node(tmp_path, op, opset, inputs, attributes):
    content, feeds = one_node(op, opset, inputs, attributes)
    (expected,) = judge.run(content, feeds)
    (tmp_path / "m.onnx").write_bytes(content)
    net = interchange.load(tmp_path / "m.onnx")
    y = net(*map(mg.Tensor, feeds.values())).numpy()
    assert y.dtype == expected.dtype
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-6)


def test_every_operator_has_a_case():
    from alexnet.interchange.operators import OPERATORS

    assert {op for op, *_ in CASES} == set(OPERATORS)


@pytest.mark.parametrize(
    ("op", "inputs", "attributes", "what"),
    [
        ("LRN", [IMAGE], dict(size=4), "even size"),
        ("AveragePool", [IMAGE], dict(kernel_shape=[2, 2], dilations=[2, 2]), "dilations"),
        ("Pad", [IMAGE, rows(0, 0, 1, 1, 0, 0, 1, 1)], dict(mode="reflect"), "reflect"),
        ("Slice", [IMAGE, rows(-1), rows(0), rows(1), rows(-1)], {}, "steps"),
        ("Conv", [IMAGE[0], W[0]], {}, "two-dimensional"),
    ],
)  # fmt: skip
def test_what_is_not_computed_is_refused(tmp_path, op, inputs, attributes, what):
    content, feeds = one_node(op, 19, inputs, attributes)
    (tmp_path / "m.onnx").write_bytes(content)
    net = interchange.load(tmp_path / "m.onnx")
    with pytest.raises(NotImplementedError, match=rf"'y' \({op}, opset 19\).*{what}"):
        net(*map(mg.Tensor, feeds.values()))
