"""An ONNX file as a Module: checked as a whole first, then run node by node.

The file may come from anywhere, so nothing in it is executed or believed: no other file is read
for it, sizes are looked at before there is memory of that size, and onnx's checker has seen the
graph. Next: `operators.py`, which computes the nodes.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from alexnet.environment import require_onnx
from alexnet.interchange.operators import LARGEST, OPERATORS
from minigrad import Tensor, nn
from minigrad.backend import Device
from minigrad.nn.parameter import Parameter
from minigrad.utils.raw import LoadError
from minigrad.utils.serialization import FilePath

OPSETS = range(7, 26)  # the specifications that `operators.py` follows
LONGEST = 500  # letters of an error
DEEPEST = 20  # modules within modules
STATISTICS = {"BatchNormalization": (3, 4)}  # inputs that are not learned


def load(path: FilePath) -> Network:
    """The network in an ONNX file, as a Module that computes what it does at inference.

    Its floating-point initializers are parameters, under their names; those of a file that
    `export` wrote are the keys of the network's `state_dict`. Metadata is in `.metadata`.

    Raises:
        LoadError: the file is damaged, contradicts itself, is absurdly large, or wants to read
            other files; says what is wrong.
        NotImplementedError: an operator, an attribute or a version that is not known here.
        InputError: onnx is not installed.
        OSError: the file cannot be read.
    """
    onnx = require_onnx()
    if Path(path).stat().st_size > LARGEST:
        raise LoadError(f"{path}: larger than {LARGEST >> 30} GiB, which no ONNX file is")
    content = Path(path).read_bytes()
    try:
        return Network(onnx, content)
    except NotImplementedError as error:
        raise NotImplementedError(f"{path}: {_line(error)}") from error
    except Exception as error:  # protobuf, the checker and NumPy each have errors of their own
        raise LoadError(f"{path} is no ONNX file that can be used: {_line(error)}") from error


class Network(nn.Module):
    """A graph of ONNX: `net(images)` gives its output, or a tuple of them if there are several.

    Made by `load`, of the bytes of a file. It has no training mode: dropout does nothing, and batch
    norm's statistics are buffers that stay.
    """

    def __init__(self, onnx: Any, content: bytes) -> None:
        super().__init__()
        model = onnx.ModelProto.FromString(content)
        graph = model.graph
        if not graph.node:
            raise LoadError("it has no graph")
        _refuse_other_files(onnx, graph)
        opset = _opset(model)
        nodes = [Node(onnx, node, opset) for node in graph.node]
        onnx.checker.check_model(content, full_check=True)
        self.metadata = {entry.key: entry.value for entry in model.metadata_props}
        names = {tensor.name for tensor in graph.initializer}
        statistics = {node.inputs[i] for node in nodes for i in STATISTICS.get(node.op, ())}
        self._inputs = [value for value in graph.input if value.name not in names]
        self._outputs = [value.name for value in graph.output]
        self._plan = plan(nodes, {value.name for value in self._inputs}, self._outputs)
        self._places: dict[str, tuple[nn.Module, str]] = {}
        for tensor in graph.initializer:
            array = onnx.numpy_helper.to_array(tensor)
            weight = Tensor(array).clone()  # to where the kernels' workers see it
            self._place(tensor.name, weight, tensor.name in statistics)

    def _place(self, name: str, tensor: Tensor, fixed: bool) -> None:
        """Register an initializer: "features.0.weight" becomes `weight` of `0` of `features`."""
        *path, leaf = name.split(".")
        owner: nn.Module = self
        try:
            if len(path) > DEEPEST:
                raise KeyError(name)
            for part in path:
                if part not in owner._modules:
                    owner.add_module(part, nn.Module())
                owner = owner._modules[part]  # type: ignore[assignment]
            self._keep(owner, leaf, tensor, fixed)
        except KeyError:  # ONNX knows no tree: "a" and "a.b" may both be weights, or "" a part
            owner, leaf = self, "initializer/" + name.replace(".", "/")
            self._keep(owner, leaf, tensor, fixed)
        self._places[name] = owner, leaf

    @staticmethod
    def _keep(owner: nn.Module, name: str, tensor: Tensor, fixed: bool) -> None:
        if tensor.is_floating_point() and not fixed:
            owner.register_parameter(name, Parameter(tensor))
        else:
            owner.register_buffer(name, tensor, persistent=tensor.is_floating_point())

    def extra_repr(self) -> str:
        names = ", ".join(value.name for value in self._inputs)
        return f"{names} -> {', '.join(self._outputs)}, {len(self._plan)} nodes"

    def forward(self, *inputs: Tensor) -> Any:
        if len(inputs) != len(self._inputs):
            names = ", ".join(value.name for value in self._inputs)
            raise ValueError(f"[onnx] expected {len(self._inputs)} inputs ({names})")
        values: dict[str, Tensor | None] = {"": None}
        for value, x in zip(self._inputs, inputs, strict=True):
            _check_input(value, x)
            values[value.name] = x
        device = inputs[0].device if inputs else Device("cpu")
        for node, spent in self._plan:
            y = node(*(self._read(values, name) for name in node.inputs))
            values[node.output] = y.to(device)
            for name in spent:
                values.pop(name, None)
        results = tuple(self._read(values, name) for name in self._outputs)
        return results[0] if len(results) == 1 else results

    def _read(self, values: dict[str, Tensor | None], name: str) -> Any:
        if name in values:
            return values[name]
        owner, leaf = self._places[name]
        return getattr(owner, leaf)


class Node:
    """A node of the graph, and the function that computes it."""

    def __init__(self, onnx: Any, node: Any, opset: int) -> None:
        self.op, self.inputs = node.op_type, list(node.input)
        outputs: list[str] = list(node.output) or [""]  # the checker will refuse that
        self.output, *self.others = outputs
        self.title = f"{node.name or self.output!r} ({self.op}, opset {opset})"
        if node.domain not in ("", "ai.onnx") or self.op not in OPERATORS:
            domain = f" of {node.domain}" if node.domain else ""
            raise NotImplementedError(f"node {self.title}: there is no such operator here{domain}")
        self.function = OPERATORS[self.op]
        known = inspect.signature(self.function).parameters
        self.attributes: dict[str, Any] = {}
        for attribute in node.attribute:
            parameter = known.get(attribute.name)
            if parameter is None or parameter.kind is not parameter.KEYWORD_ONLY:
                raise NotImplementedError(
                    f"node {self.title}: its attribute {attribute.name} is not known here"
                )
            self.attributes[attribute.name] = _plain(onnx, attribute)
        if "opset" in known:
            self.attributes["opset"] = opset

    def __call__(self, *inputs: Tensor | None) -> Tensor:
        try:
            return self.function(*inputs, **self.attributes)
        except NotImplementedError as error:
            raise NotImplementedError(f"node {self.title}: {error}") from None
        except MemoryError:
            raise
        except Exception as error:  # whatever NumPy raises for numbers that make no sense
            raise RuntimeError(f"node {self.title}: {error}") from error


def plan(nodes: list[Node], inputs: set[str], outputs: list[str]) -> list[tuple[Node, list[str]]]:
    """The nodes in the order in which they run, each with the values that are spent after it.

    What does not depend on the inputs, such as weights that are made on the way, is left until it
    is needed; what nobody needs is left out. So no more is in memory than must be.
    """
    needed = {name: len(nodes) for name in outputs}  # a value: the first place that reads it
    kept, moving = set(outputs), set(inputs)
    for node in nodes:
        if moving.intersection(node.inputs):
            moving.add(node.output)
    places = []
    for i, node in reversed(list(enumerate(nodes))):
        for name in node.others:
            if name in needed:
                raise NotImplementedError(f"node {node.title}: only its first output is made here")
        if node.output not in needed:
            continue
        place = i if node.output in moving else needed[node.output]
        places.append((place, i, node))
        for name in node.inputs:
            needed[name] = min(place, needed.get(name, place))
    order = [node for _, _, node in sorted(places, key=lambda item: item[:2])]
    last = {name: i for i, node in enumerate(order) for name in node.inputs}
    spent: list[list[str]] = [[] for _ in order]
    for name, i in last.items():
        if name and name not in kept:
            spent[i].append(name)
    return list(zip(order, spent, strict=True))


def _opset(model: Any) -> int:
    """The version of ONNX's own operators that the file is written in."""
    versions = [o.version for o in model.opset_import if o.domain in ("", "ai.onnx")]
    if len(versions) != 1:
        raise LoadError("it does not say which opset it is written in")
    if versions[0] not in OPSETS:
        raise NotImplementedError(
            f"opset {versions[0]} is not known here, only {OPSETS[0]} to {OPSETS[-1]}: "
            "onnx.version_converter changes it"
        )
    if model.graph.sparse_initializer:
        raise NotImplementedError("it has sparse weights, which are not known here")
    if model.functions:
        raise NotImplementedError(
            "it defines functions of its own: onnx.inliner.inline_local_functions dissolves them"
        )
    return versions[0]


def _refuse_other_files(onnx: Any, graph: Any) -> None:
    """Raises LoadError if a tensor of the graph lies elsewhere; the place could be any file."""
    for tensor in _tensors(onnx, graph):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            raise LoadError(
                f"the numbers of {tensor.name or 'a tensor'} are in another file, which is not "
                "read: onnx.save makes it one file"
            )


def _tensors(onnx: Any, graph: Any) -> Iterator[Any]:
    """All tensors of a graph and of the graphs in it."""
    graphs = [graph]
    while graphs:
        graph = graphs.pop()
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
        for node in graph.node:
            for attribute in node.attribute:
                graphs += [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]
                yield from (attribute.t, *attribute.tensors)


def _plain(onnx: Any, attribute: Any) -> Any:
    """An attribute's value: a number, a list of them, text, or an array."""
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode()
    return onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value


def _check_input(value: Any, x: Tensor) -> None:
    """Raises ValueError if x has not the sizes that the file gives to its input."""
    kind = value.type.tensor_type
    sizes = [d.dim_value or None for d in kind.shape.dim] if kind.HasField("shape") else x.shape
    if len(sizes) != x.ndim or any(a not in (None, b) for a, b in zip(sizes, x.shape, strict=True)):
        expected = ", ".join("any" if n is None else str(n) for n in sizes)
        raise ValueError(f"[onnx] {value.name} must be ({expected}), not {tuple(x.shape)}")


def _line(error: Exception) -> str:
    """What an error says, as one line of bounded length, for it may quote the file."""
    text = "".join(c for c in " ".join(str(error).split()) if c.isprintable())
    return text[:LONGEST] or type(error).__name__
