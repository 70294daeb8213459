"""A convolutional network from an ONNX file, as a function that JAX compiles.

It knows the operations of small face detectors, with the attributes that they use, and refuses all others.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Maps = Float[Array, "n_photos _ _ _"]
"""Photos, height, width, channels."""

Weights = dict[str, Any]


class _Step(NamedTuple):
    """An operation, the names of its inputs and outputs, and its attributes."""

    operation: str
    inputs: tuple[str, ...]
    output: str
    attributes: dict[str, Any]


class Network(NamedTuple):
    """The steps of a network in order, and its weights by name."""

    steps: tuple[_Step, ...]
    weights: Weights
    outputs: tuple[str, ...]

    def __call__(self, weights: Weights, photos: Maps) -> list[Array]:
        """Compute the outputs for a batch of photos with the given weights; a pure function."""
        values: dict[str, Any] = weights | {"input": photos}
        for step in self.steps:
            arguments = [values[name] for name in step.inputs if name]
            values[step.output] = _OPERATIONS[step.operation](step.attributes, *arguments)
        return [values[name] for name in self.outputs]


def read_network(path: Path) -> Network:
    """Read a network; raises ValueError if the file is none, has unknown operations, or onnx is missing."""
    try:
        import onnx
    except ImportError as error:
        raise ValueError(
            f"the detector yunet needs the package onnx ({error}): "
            'pip install "jaxclnf[yunet]", or choose another --detector'
        ) from None
    try:
        network = _network_of(onnx.load(str(path)).graph)
    except Exception as error:  # protobuf and onnx have no common class of errors
        raise ValueError(f"{path} is not an ONNX file: {error}; install the detector anew") from None
    unknown = {step.operation for step in network.steps} - set(_OPERATIONS)
    if unknown:
        raise ValueError(f"{path} has operations that are not known here: {', '.join(sorted(unknown))}")
    return network


def _network_of(graph: Any) -> Network:
    """Take the steps and weights out of a graph of onnx; a damaged one raises errors of any class."""
    import onnx

    steps = tuple(
        _Step(
            node.op_type,
            tuple(node.input),
            node.output[0],
            {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute},
        )
        for node in graph.node
    )
    weights = {w.name: onnx.numpy_helper.to_array(w) for w in graph.initializer}
    return Network(steps, weights, tuple(output.name for output in graph.output))


def _conv(attributes: dict, x: Maps, kernel: Array, bias: Array) -> Maps:
    """Convolve with channels last, which is faster; ONNX keeps kernels as (out, in, height, width)."""
    groups, pads = attributes["group"], attributes["pads"]
    if kernel.shape[2:] == (1, 1):
        return jnp.einsum("nhwi,oi->nhwo", x, kernel[:, :, 0, 0]) + bias[None, None, None]
    if groups == x.shape[3] > 1:
        return _each_channel(x, kernel[:, 0]) + bias[None, None, None]
    return bias[None, None, None] + jax.lax.conv_general_dilated(
        x,
        kernel.transpose(2, 3, 1, 0),
        attributes["strides"],
        ((pads[0], pads[2]), (pads[1], pads[3])),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )


def _each_channel(x: Maps, kernel: Float[Array, "n_channels 3 3"]) -> Maps:
    """Convolve each channel with its 3 x 3 kernel, as nine products that XLA fuses: faster on a CPU."""
    height, width = x.shape[1:3]
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    parts = [
        padded[:, i : i + height, j : j + width] * kernel[None, None, None, :, i, j]
        for i in range(3)
        for j in range(3)
    ]
    return sum(parts[1:], parts[0])


def _max_pool(attributes: dict, x: Maps) -> Maps:
    """Take the largest values of blocks of 2 x 2 pixels."""
    n, height, width, channels = x.shape
    return x.reshape(n, height // 2, 2, width // 2, 2, channels).max(axis=(2, 4))


def _twice(attributes: dict, x: Maps, *sizes: Array) -> Maps:
    """Repeat every pixel twice in each direction."""
    return jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)


def _rows(attributes: dict, x: Maps, shape: Array) -> Array:
    """Reshape to (photos, cells, values)."""
    return x.reshape(len(x), -1, x.shape[-1])


_OPERATIONS: dict[str, Callable[..., Array]] = {
    "Conv": _conv,
    "Relu": lambda attributes, x: jnp.maximum(x, 0),
    "MaxPool": _max_pool,
    "Resize": _twice,
    "Add": lambda attributes, a, b: a + b,
    "Transpose": lambda attributes, x: x,  # to channels last, where they are
    "Reshape": _rows,
    "Sigmoid": lambda attributes, x: jax.nn.sigmoid(x),
}
