"""A network as an ONNX file: the tape of one forward pass, operation by operation.

Operations are noted as they run (`autograd.watch_calls`), so a network may be written in any way,
as long as what it computes does not depend on what is in the images or how many they are. Two
passes, of two images and of three, must give the same graph: then it holds for any number. Next:
`nodes.py`, which knows how each operation is written.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import numpy as np

import minigrad
from alexnet.environment import require_onnx
from alexnet.interchange.nodes import WRITERS, Node, Step, Value
from minigrad import Function, Tensor, autograd, nn
from minigrad.utils.files import atomic_path
from minigrad.utils.serialization import FilePath

OPSET, IR_VERSION = 17, 8  # of 2022: whatever runs ONNX today has them
BATCHES = (2, 3)  # of the two passes; 1 would broadcast
INPUT, OUTPUT = "images", "logits"


def export(
    model: nn.Module, path: FilePath, input_shape: Sequence[int],
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write `model`, as it is in evaluation mode, to an ONNX file (opset 17).

    The graph takes "images" (N, *input_shape), of the weights' dtype and with any N, and gives
    "logits". Weights have their names in the `state_dict`, nodes the path of their layer. Batch
    norm uses its running statistics, dropout is left out.

    Args:
        input_shape: of one image, (C, H, W).
        metadata: becomes the file's metadata_props; what is not text is written as JSON.

    Raises:
        NotImplementedError: an operation that ONNX does not have, or a graph that holds for these
            images alone: names the operation and the layer.
        InputError: onnx is not installed.
        OSError: the file cannot be written. A file that was there before is left as it was.
    """
    onnx = require_onnx()
    graph, other = (Graph(model, (n, *input_shape)) for n in BATCHES)
    if not graph.equals(other):
        raise NotImplementedError(
            "[export] the graph depends on the number of images: it differs between 2 and 3"
        )
    made = onnx.helper.make_model(
        graph.to_onnx(onnx), producer_name="minigrad", producer_version=minigrad.__version__,
        ir_version=IR_VERSION, opset_imports=[onnx.helper.make_opsetid("", OPSET)],
    )
    texts = {
        key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for key, value in (metadata or {}).items()
    }
    onnx.helper.set_model_props(made, texts)
    for name, array in graph.weights.items():  # one at a time, for onnx copies what it is given
        made.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    with atomic_path(path) as temporary:
        temporary.write_bytes(made.SerializeToString())
        onnx.checker.check_model(temporary, full_check=True)


class Graph:
    """What `model` does with images of this shape (N, C, H, W): the nodes, and what they read."""

    def __init__(self, model: nn.Module, images_shape: tuple[int, ...]) -> None:
        self.model = model
        self.nodes: list[Node] = []
        self.weights: dict[str, np.ndarray] = {}
        self.constants: dict[str, np.ndarray] = {}
        members = [*model.named_parameters(), *model.named_buffers()]
        # By the identity of their arrays, for batch norm hands on its running statistics as arrays.
        self.members = {id(tensor.array): (key, tensor.array) for key, tensor in members}
        self.taken = {INPUT, OUTPUT, *(key for key, _ in members)}
        self.values: dict[Function, Value] = {}  # by the node on the tape that made them
        self.path: list[str] = []  # of the modules that run at this moment, the outermost first
        like = next((tensor for _, tensor in members), minigrad.zeros(1))
        images = minigrad.zeros(*images_shape, dtype=like.dtype, device=like.device)
        with minigrad.enable_grad(), self._evaluating():
            images = images.requires_grad_().clone()  # no leaf: a first ReLU may write over it
            self.images = self.values[images.grad_fn] = Value(INPUT, images_shape, True)
            with autograd.watch_calls(self._note):
                result = model(images)
        self.dtype, self.logits = like.dtype, self._named(result)

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        """The model in evaluation mode, and `path` true to what runs."""
        with ExitStack() as stack:
            for path, module in self.model.named_modules():
                stack.callback(setattr, module, "training", module.training)
                enter = partial(self._enter, path)
                stack.enter_context(module.register_forward_pre_hook(enter))
                stack.enter_context(module.register_forward_hook(self._leave))
            self.model.eval()
            yield

    def _enter(self, path: str, *_: Any) -> None:
        self.path.append(path)

    def _leave(self, *_: Any) -> None:
        self.path.pop()

    def _note(self, fn: Function, inputs: Any, options: dict[str, Any], output: Tensor) -> None:
        """Write down an operation that has just run."""
        if not output.requires_grad:
            return  # neither images nor weights are in it: whoever reads it is refused
        step = Step(self, fn.name(), tuple(output.shape), output.dtype)
        if type(fn) not in WRITERS:
            raise step.refusal("this operation cannot be written as ONNX")
        values = [self._value(x, step) for x in inputs]
        self.values[fn] = WRITERS[type(fn)](step, *values, **options)

    def _value(self, x: Any, step: Step) -> Value | None:
        """What an operation reads: an earlier result, a weight, a number, or nothing."""
        if x is None:
            return None
        if not isinstance(x, Tensor):
            return step.constant(np.asarray(x, step.dtype))
        return self.values[x.grad_fn] if x.grad_fn in self.values else step.member(x.array)

    def _named(self, result: Any) -> Value:
        """The network's result, under the name that it has outside."""
        if not isinstance(result, Tensor) or result.grad_fn not in self.values:
            raise NotImplementedError(
                "[export] the network must return one tensor, made of its images by operations "
                f"that have gradients; it returned {type(result).__name__}"
            )
        last = self.values[result.grad_fn]
        if last is self.images:
            self.nodes.append(Node("Identity", [INPUT], OUTPUT, {}))
        for node in self.nodes:
            if last is not self.images:
                node.inputs = [OUTPUT if name == last.name else name for name in node.inputs]
                node.name = OUTPUT if node.name == last.name else node.name
        return Value(OUTPUT, last.shape, last.batched)

    def equals(self, other: Graph) -> bool:
        """Whether both graphs compute the same, whatever the number of images."""
        constants = ({key: a.tolist() for key, a in g.constants.items()} for g in (self, other))
        return self.nodes == other.nodes and next(constants) == next(constants)

    def to_onnx(self, onnx: Any) -> Any:
        """The graph as ONNX's GraphProto, without the weights."""
        helper = onnx.helper
        kind = helper.np_dtype_to_tensor_dtype(self.dtype)
        images, logits = (
            helper.make_tensor_value_info(
                value.name, kind, ["N" if value.batched else value.shape[0], *value.shape[1:]]
            ) for value in (self.images, self.logits)
        )
        nodes = [
            Node("Constant", [], name, {"value": onnx.numpy_helper.from_array(array)})
            for name, array in self.constants.items()
        ] + self.nodes
        return helper.make_graph(
            [helper.make_node(n.op, n.inputs, [n.name], n.name, **n.attributes) for n in nodes],
            type(self.model).__name__, [images], [logits],
        )
