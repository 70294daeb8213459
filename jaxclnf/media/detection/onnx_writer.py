"""Writing networks in ONNX's format for OpenCV: a few operations, and weights.

The messages are those of onnx.proto (IR version 6, operators of version 11); a field is its number, what it
holds and, where that has no fixed size, its length.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

_IR, _OPERATORS = 6, 11
_FLOAT, _INT64 = 1, 7  # kinds of tensors
_KIND_INT, _KIND_TEXT, _KIND_INTS = 2, 3, 7  # kinds of attributes

Attribute = int | str | Sequence[int]
Shapes = Mapping[str, Sequence[int]]
"""Sizes of arrays by their names."""


def node(operation: str, inputs: Iterable[str], output: str, **attributes: Attribute) -> bytes:
    """Encode an operation: its inputs, its outputs and its attributes."""
    told = [_text(1, name) for name in inputs] + [_text(2, output), _text(4, operation)]
    return b"".join([*told, *(_bytes(5, _attribute(name, value)) for name, value in attributes.items())])


def model(
    nodes: Sequence[bytes], weights: Mapping[str, np.ndarray], inputs: Shapes, outputs: Shapes
) -> bytes:
    """Encode a file: operations in their order, weights, inputs and outputs."""
    graph = [_bytes(1, each) for each in nodes] + [_text(2, "network")]
    graph += [_bytes(5, _tensor(name, array)) for name, array in weights.items()]
    graph += [_bytes(11, _value(name, shape)) for name, shape in inputs.items()]
    graph += [_bytes(12, _value(name, shape)) for name, shape in outputs.items()]
    return _int(1, _IR) + _bytes(7, b"".join(graph)) + _bytes(8, _int(2, _OPERATORS))


def _attribute(name: str, value: Attribute) -> bytes:
    match value:
        case int():
            return _text(1, name) + _int(3, value) + _int(20, _KIND_INT)
        case str():
            return _text(1, name) + _text(4, value) + _int(20, _KIND_TEXT)
        case _:
            return _text(1, name) + b"".join(_int(8, n) for n in value) + _int(20, _KIND_INTS)


def _tensor(name: str, array: np.ndarray) -> bytes:
    kind = _FLOAT if array.dtype == np.float32 else _INT64
    sizes = b"".join(_int(1, n) for n in array.shape)
    return sizes + _int(2, kind) + _text(8, name) + _bytes(9, np.ascontiguousarray(array).tobytes())


def _value(name: str, shape: Sequence[int]) -> bytes:
    sizes = _bytes(2, b"".join(_bytes(1, _int(1, n)) for n in shape))
    return _text(1, name) + _bytes(2, _bytes(1, _int(1, _FLOAT) + sizes))


def _text(field: int, text: str) -> bytes:
    return _bytes(field, text.encode())


def _bytes(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _int(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value & 2**64 - 1)


def _varint(value: int) -> bytes:
    """Encode seven bits in each byte, lowest first; all but the last byte have their highest bit set."""
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return struct.pack(f"{len(found) + 1}B", *found, value)
