"""OpenFace 2's binary format of the convolutional experts (CEN) of one scale, some 60 or 150 MB each.

The files are mapped into memory and every weight is copied once, into arrays of all experts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jax.typing import DTypeLike

from jaxclnf.models.openface.files import ByteReader, cast
from jaxclnf.types import CENExperts

_CEN, _SUPPORT = 6, 63
_MOST_LAYERS, _MOST_WIDE, _MOST_VIEWS, _MOST_BYTES = 16, 2**16, 64, 2**30


class _Layer(NamedTuple):
    activation: int
    biases: np.ndarray
    weights: np.ndarray


class _Scale(NamedTuple):
    path: Path
    patch_scale: float
    centres: np.ndarray
    visibility: np.ndarray
    mirror_points: np.ndarray
    mirror_views: np.ndarray
    support: int
    experts: list[list[_Layer]]  # views times points, without layers where an expert is seen in a mirror
    confidence: np.ndarray


def read_cen_experts(
    paths: list[Path], n_points: int, dtype: DTypeLike = np.float32
) -> tuple[CENExperts, ...]:
    """The experts of a model's scales, as numpy arrays; the last file says who is whose mirror image."""
    scales = [_read_scale(path, n_points) for path in paths]
    return tuple(_assemble(scale, scales[-1], dtype) for scale in scales)


def _read_scale(path: Path, n_points: int) -> _Scale:
    file = ByteReader(path, mapped=True)
    patch_scale = file.number("patch scale", 1e-3, 1e3)
    views = range(file.integer("number of views", 1, _MOST_VIEWS))
    centres = np.array([file.matrix("view centre", (3, 1))[:, 0] for _ in views])
    visible = np.array([file.matrix("visibility", (n_points, 1))[:, 0] != 0 for _ in views])
    points = _indices(file, "mirrored landmarks", n_points)
    mirror_views = _indices(file, "mirrored views", len(views))
    experts, confidence, sizes = [], [], set()
    for _ in range(visible.size):
        layers, size = _read_expert(file)
        experts.append(layers)
        confidence.append(file.number("patch confidence", -1e6, 1e6))
        sizes |= {size} if layers else set()
    file.end()
    if len(sizes) != 1:
        raise ValueError(f"{path}: experts of the supports {sorted(sizes)}, expected one support")
    certain = np.array(confidence).reshape(visible.shape)
    support = sizes.pop()
    return _Scale(path, patch_scale, centres, visible, points, mirror_views, support, experts, certain)


def _indices(file: ByteReader, name: str, n: int) -> np.ndarray:
    values = file.matrix(name, (n, 1))[:, 0]
    if values.dtype.kind not in "iu" or values.min() < 0 or values.max() >= n:
        raise file.error(f"{name} are {values.min()} to {values.max()}, expected whole numbers below {n}")
    return values


def _read_expert(file: ByteReader) -> tuple[list[_Layer], int]:
    """An expert's layers and the side of its windows."""
    file.integer("code of a CEN expert", _CEN, _CEN)
    width, height = (file.integer("size of a window", 0, _SUPPORT) for _ in range(2))
    layers = [_read_layer(file) for _ in range(file.integer("number of layers", 0, _MOST_LAYERS))]
    inputs = 1 + width * height
    for layer in layers:
        if layer.weights.shape[1] != inputs:
            raise file.error(f"a layer takes {layer.weights.shape[1]} values, expected {inputs}")
        inputs = len(layer.weights)
    if layers and (width != height or width < 1 or inputs != 1):
        raise file.error(f"an expert of {height} x {width} pixels gives {inputs}, expected a square and 1")
    return layers, width


def _read_layer(file: ByteReader) -> _Layer:
    activation = int(file.take("activation", "<i4"))
    biases = file.any_matrix("biases", _MOST_WIDE).ravel()
    weights = file.any_matrix("weights", _MOST_WIDE)
    if len(weights) != biases.size:
        raise file.error(f"weights of {len(weights)} rows, expected {biases.size}, a bias each")
    return _Layer(activation, biases, weights)


def _assemble(scale: _Scale, last: _Scale, dtype: DTypeLike) -> CENExperts:
    path, own = scale.path, [layers for layers in scale.experts if layers]
    if len({len(layers) for layers in own}) != 1:
        raise ValueError(f"{path}: experts of {sorted({len(e) for e in own})} layers, expected one number")
    if last.visibility.shape != scale.visibility.shape:
        raise ValueError(f"{path}: {len(scale.visibility)} views, the last scale {len(last.visibility)}")
    which, mirrored = _who_looks(scale, last)
    stacks = [[layers[k] for layers in own] for k in range(len(own[0]))]
    values: dict[str, Any] = {
        "patch_scale": cast(path, "patch scale", np.array(scale.patch_scale), dtype),
        "view_centres": cast(path, "view centres", np.deg2rad(scale.centres), dtype),
        "patch_confidence": cast(path, "patch confidences", scale.confidence, dtype),
        "visibility": scale.visibility,
        "weights": tuple(_stack(path, [layer.weights for layer in stack], dtype) for stack in stacks),
        "biases": tuple(_stack(path, [layer.biases for layer in stack], dtype) for stack in stacks),
        "activations": np.array([[layer.activation for layer in layers] for layers in own], np.int32),
        "expert": which,
        "mirrored": mirrored,
    }
    return CENExperts(window_size=scale.support, **values)


def _who_looks(scale: _Scale, last: _Scale) -> tuple[np.ndarray, np.ndarray]:
    """The expert, among those with layers, of each view's landmark, and whether it looks in a mirror."""
    shape = scale.visibility.shape
    owns = np.array([bool(layers) for layers in scale.experts]).reshape(shape)
    number = np.cumsum(owns).reshape(shape) - 1
    views = np.arange(shape[0])
    partner_view = np.where(views == 0, 0, last.mirror_views)
    partner = partner_view[:, None], last.mirror_points[None]
    if (scale.visibility & ~owns & ~owns[partner]).any():
        raise ValueError(f"{scale.path}: a visible landmark has no expert, and none that it is the mirror of")
    which = np.where(owns, number, np.where(owns[partner], number[partner], 0))
    return which.astype(np.int32), ~owns


def _stack(path: Path, arrays: list[np.ndarray], dtype: DTypeLike) -> np.ndarray:
    """Arrays of all experts as one, smaller ones padded with zeros, which add nothing to the next layer."""
    shape = tuple(max(sizes) for sizes in zip(*(a.shape for a in arrays), strict=True))
    n_bytes = len(arrays) * int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    if n_bytes > _MOST_BYTES:
        raise ValueError(f"{path}: a layer of {len(arrays)} experts would take {n_bytes} bytes")
    stacked = _aligned_zeros((len(arrays), *shape), np.dtype(dtype))
    for row, array in zip(stacked, arrays, strict=True):
        part = row[tuple(slice(n) for n in array.shape)]
        with np.errstate(over="ignore"):
            part[...] = array
        if not np.isfinite(part).all():
            raise ValueError(f"{path}: weights hold numbers that are not finite, expected finite ones")
    return stacked


def _aligned_zeros(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Zeros that JAX can take over on a CPU without another copy, which it does at multiples of 64 bytes."""
    n_bytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    memory = np.zeros(n_bytes + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + n_bytes].view(dtype).reshape(shape)
