"""How are published ONNX graphs made fit and fast for ONNX Runtime without changing what they compute?

Each step is a plain function from graph to graph, named in the manifest; `rewritten` runs them in order and serialises
deterministically, so that the result has a hash that can be pinned.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, helper, numpy_helper

FOLDABLE: Final = frozenset({"DequantizeLinear", "Reshape"})


def rewritten(source: bytes, steps: Sequence[str]) -> bytes:
    """Return the model with the named steps applied, as deterministic bytes.

    Raises:
        KeyError: a step has no implementation.
        onnx.checker.ValidationError: the result is no valid model.
    """
    model = onnx.load_model_from_string(source)
    for step in steps:
        STEPS[step](model.graph)
    del model.graph.value_info[:]
    onnx.checker.check_model(model)
    return _as_bytes(model)


def with_free_inputs(source: bytes) -> bytes:
    """Return the model with stray inputs dropped and nothing else: the least that lets a runtime load it."""
    model = onnx.load_model_from_string(source)
    free_inputs(model.graph)
    return _as_bytes(model)


def fold_constants(graph: GraphProto) -> None:
    """Turn dequantised and reshaped constants into float weights."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    kept: list[NodeProto] = []
    for node in _in_order(graph):
        if node.op_type in FOLDABLE and all(name in constants for name in node.input):
            values = [numpy_helper.to_array(constants[name]) for name in node.input]
            folded = np.ascontiguousarray(_folded(node, values))
            constants[node.output[0]] = numpy_helper.from_array(folded, node.output[0])
        else:
            kept.append(node)
    used = {name for node in kept for name in node.input} | {output.name for output in graph.output}
    _replace(graph.node, kept)
    _replace(graph.initializer, [tensor for name, tensor in constants.items() if name in used])


def free_inputs(graph: GraphProto) -> None:
    """Leave the image as the only input: weights are not something a caller hands in."""
    weights = {tensor.name for tensor in graph.initializer}
    read = {name for node in graph.node for name in node.input}
    _replace(graph.input, [value for value in graph.input if value.name in read - weights])


def dynamic_batch(graph: GraphProto) -> None:
    """Let the first axis of input and outputs be of any length."""
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    shapes = {node.input[1] for node in graph.node if node.op_type == "Reshape"}
    for tensor in graph.initializer:
        if tensor.name in shapes:
            shape = numpy_helper.to_array(tensor).copy()
            if shape.size > 1 and shape[0] == 1:
                shape[0] = 0  # Reshape: 0 copies the input's own length of this axis.
                tensor.CopyFrom(numpy_helper.from_array(shape, tensor.name))


def dynamic_image(graph: GraphProto) -> None:
    """Let height and width of the image be any multiple of the largest stride."""
    for value in graph.input:
        for axis, name in ((2, "height"), (3, "width")):
            value.type.tensor_type.shape.dim[axis].dim_param = name
    for value in graph.output:
        value.type.tensor_type.shape.dim[1].dim_param = f"anchors_{value.name}"


def prelu(graph: GraphProto) -> None:
    """Write PRelu(x) as x + (1 - slope) * Relu(-x): the same numbers to the last bits, at three quarters of the time.

    ONNX Runtime has no fast PRelu for the layout that it runs convolutions in. Products with a constant it turns into
    convolutions, and takes the Relu and the sum into those: two passes over the numbers in all.
    """
    constants = {tensor.name: tensor for tensor in graph.initializer}
    nodes: list[NodeProto] = []
    for node in graph.node:
        if node.op_type != "PRelu" or node.input[1] not in constants:
            nodes.append(node)
            continue
        (x, slope), (y,) = node.input, node.output
        minus, turned, below, rest, scaled = (f"{y}/{part}" for part in ("minus", "turned", "below", "rest", "scaled"))
        slopes = numpy_helper.to_array(constants[slope])
        graph.initializer.append(numpy_helper.from_array(-np.ones_like(slopes), minus))
        graph.initializer.append(numpy_helper.from_array(1 - slopes, rest))
        nodes += [
            helper.make_node("Mul", [x, minus], [turned], name=turned),
            helper.make_node("Relu", [turned], [below], name=below),
            helper.make_node("Mul", [below, rest], [scaled], name=scaled),
            helper.make_node("Add", [scaled, x], [y], name=y),
        ]
    used = {name for node in nodes for name in node.input} | {output.name for output in graph.output}
    _replace(graph.node, nodes)
    _replace(graph.initializer, [tensor for tensor in graph.initializer if tensor.name in used])


STEPS: Final[dict[str, Callable[[GraphProto], None]]] = {
    "fold_constants": fold_constants,
    "free_inputs": free_inputs,
    "dynamic_batch": dynamic_batch,
    "dynamic_image": dynamic_image,
    "prelu": prelu,
}


def _folded(node: NodeProto, values: list[NDArray[np.generic]]) -> NDArray[np.generic]:
    if node.op_type == "Reshape":
        data, shape = values
        return data.reshape([int(length) for length in np.atleast_1d(shape)])
    return _dequantised(node, values)


def _dequantised(node: NodeProto, values: list[NDArray[np.generic]]) -> NDArray[np.float32]:
    """Return (quantised - zero point) * scale, with scale and zero point spread over blocks of one axis."""
    quantised = values[0]
    options = {attribute.name: attribute.i for attribute in node.attribute}
    axis, block = options.get("axis", 1), options.get("block_size", 0)

    def spread(value: NDArray[np.generic]) -> NDArray[np.generic]:
        if value.size == 1:
            return value.reshape(())
        if block:
            return np.repeat(value, block, axis=axis).take(range(quantised.shape[axis]), axis=axis)
        return value.reshape([-1 if position == axis else 1 for position in range(quantised.ndim)])

    scale = spread(values[1]).astype(np.float32)
    zero = spread(values[2]).astype(np.int32) if len(values) > 2 else np.int32(0)  # noqa: PLR2004 - the third input is optional
    return (quantised.astype(np.int32) - zero).astype(np.float32) * scale


def _in_order(graph: GraphProto) -> list[NodeProto]:
    """Return the nodes so that each comes after what it reads; these files list some of them the other way round."""
    known = {tensor.name for tensor in graph.initializer} | {value.name for value in graph.input} | {""}
    waiting, ordered = list(graph.node), list[NodeProto]()
    while waiting:
        ready = [node for node in waiting if known.issuperset(node.input)]
        if not ready:
            raise onnx.checker.ValidationError("the graph has a loop or a dangling input")
        ordered += ready
        known.update(name for node in ready for name in node.output)
        waiting = [node for node in waiting if not known.issuperset(node.output)]
    return ordered


def _replace(field: Any, values: Sequence[object]) -> None:  # noqa: ANN401 - protobuf has no public name for its lists
    del field[:]
    field.extend(values)


def _as_bytes(model: ModelProto) -> bytes:
    serialised: bytes = model.SerializeToString(deterministic=True)
    return serialised
