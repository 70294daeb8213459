"""OpenFace 2's files of convolutional experts (CEN): a binary of 60 to 150 MB for each scale, and a text.

The binary files are mapped into memory; every weight is copied once, into arrays of all experts, and a file
is closed before the next one is copied.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jax.typing import DTypeLike

from jaxclnf.models.memory_budget import Budget
from jaxclnf.models.openface.untrusted_files import ByteReader, cast, read_openface_text
from jaxclnf.models.stored_experts import MAX_SUPPORT
from jaxclnf.types import CENExperts, EarlyTermination

_CEN = 6
_MOST_LAYERS, _MOST_WIDE, _MOST_VIEWS = 16, 2**16, 64
_LAYER = 1000  # bytes that a layer costs while it is read, beside its weights


class _Layer(NamedTuple):
    activation: int
    biases: np.ndarray
    weights: np.ndarray


class _Mirrors(NamedTuple):
    """The landmark and the view of which each landmark and view is the mirror image."""

    points: np.ndarray
    views: np.ndarray


class _Scale(NamedTuple):
    path: Path
    patch_scale: float
    centres: np.ndarray
    visibility: np.ndarray
    mirrors: _Mirrors
    support: int
    experts: list[list[_Layer]]  # views times points; those without layers use their mirror image's expert
    confidence: np.ndarray


def read_cen_experts(
    paths: list[Path], n_points: int, dtype: DTypeLike = np.float32, budget: Budget | None = None
) -> tuple[CENExperts, ...]:
    """Read the experts of a model's scales as numpy arrays; the last file holds the mirror images of all.

    Raises ValueError for damaged files and for what would take more memory than is left of ``budget``.
    """
    budget = budget or Budget(dtype=dtype)
    scales = [_read_scale(path, n_points, budget) for path in paths]
    mirrors, assembled = scales[-1].mirrors, []
    while scales:
        assembled.append(_assemble(scales.pop(0), mirrors, dtype, budget))
    return tuple(assembled)


def read_early_termination(
    path: Path, n_views: int, dtype: DTypeLike = np.float32, budget: Budget | None = None
) -> EarlyTermination:
    """Read a text file of weights, biases and cutoffs, each a number for every view."""
    words = read_openface_text(path, budget or Budget(dtype=dtype)).split()
    if len(words) != 3 * n_views:
        raise ValueError(f"{path}: {len(words)} numbers, expected {3 * n_views}, three for each view")
    try:
        values = np.array(words, np.float64)
    except ValueError as error:
        raise ValueError(f"{path}: expected numbers ({str(error)[:80]})") from None
    return EarlyTermination(*cast(path, "early termination", values.reshape(3, n_views), dtype))


def _read_scale(path: Path, n_points: int, budget: Budget) -> _Scale:
    file = ByteReader(path, budget, mapped=True)
    patch_scale = file.number("patch scale", 1e-3, 1e3)
    views = range(file.integer("number of views", 1, _MOST_VIEWS))
    centres = np.array([file.matrix("view centre", (3, 1))[:, 0] for _ in views])
    visible = np.array([file.matrix("visibility", (n_points, 1))[:, 0] != 0 for _ in views])
    mirrors = _Mirrors(
        _indices(file, "mirrored landmarks", n_points), _indices(file, "mirrored views", len(views))
    )
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
    return _Scale(path, patch_scale, centres, visible, mirrors, sizes.pop(), experts, certain)


def _indices(file: ByteReader, name: str, n: int) -> np.ndarray:
    values = file.matrix(name, (n, 1))[:, 0]
    if values.dtype.kind not in "iu" or values.min() < 0 or values.max() >= n:
        raise file.error(f"{name} are {values.min()} to {values.max()}, expected whole numbers below {n}")
    return np.array(values)


def _read_expert(file: ByteReader) -> tuple[list[_Layer], int]:
    """Read an expert's layers and the side of its patches."""
    file.integer("code of a CEN expert", _CEN, _CEN)
    width, height = (file.integer("size of a window", 0, MAX_SUPPORT) for _ in range(2))
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
    file.reserve(_LAYER, "a layer")
    activation = int(file.take("activation", "<i4"))
    biases = file.any_matrix("biases", _MOST_WIDE).ravel()
    weights = file.any_matrix("weights", _MOST_WIDE)
    if len(weights) != biases.size:
        raise file.error(f"weights of {len(weights)} rows, expected {biases.size}, a bias each")
    return _Layer(activation, biases, weights)


def _assemble(scale: _Scale, mirrors: _Mirrors, dtype: DTypeLike, budget: Budget) -> CENExperts:
    path, own = scale.path, [layers for layers in scale.experts if layers]
    if len({len(layers) for layers in own}) != 1:
        raise ValueError(f"{path}: experts of {sorted({len(e) for e in own})} layers, expected one number")
    if len(mirrors.views) != len(scale.visibility):
        raise ValueError(f"{path}: {len(scale.visibility)} views, the last scale {len(mirrors.views)}")
    which, mirrored = _who_looks(scale, mirrors)
    stack = partial(_stack, path, dtype=dtype, budget=budget)
    stacks = [[layers[k] for layers in own] for k in range(len(own[0]))]
    values: dict[str, Any] = {
        "patch_scale": cast(path, "patch scale", np.array(scale.patch_scale), dtype),
        "view_centres": cast(path, "view centres", np.deg2rad(scale.centres), dtype),
        "patch_confidence": cast(path, "patch confidences", scale.confidence, dtype),
        "visibility": scale.visibility,
        "weights": tuple(stack([layer.weights for layer in layers]) for layers in stacks),
        "biases": tuple(stack([layer.biases for layer in layers]) for layers in stacks),
        "activations": np.array([[layer.activation for layer in layers] for layers in own], np.int32),
        "expert": which,
        "mirrored": mirrored,
    }
    return CENExperts(window_size=scale.support, **values)


def _who_looks(scale: _Scale, mirrors: _Mirrors) -> tuple[np.ndarray, np.ndarray]:
    """Find the stored expert of each view's landmark, and whether its patch is mirrored."""
    shape = scale.visibility.shape
    owns = np.array([bool(layers) for layers in scale.experts]).reshape(shape)
    number = np.cumsum(owns).reshape(shape) - 1
    views = np.arange(shape[0])
    partner_view = np.where(views == 0, 0, mirrors.views)
    partner = partner_view[:, None], mirrors.points[None]
    if (scale.visibility & ~owns & ~owns[partner]).any():
        raise ValueError(f"{scale.path}: a visible landmark has no expert, and none that it is the mirror of")
    which = np.where(owns, number, np.where(owns[partner], number[partner], 0))
    return which.astype(np.int32), ~owns


def _stack(path: Path, arrays: list[np.ndarray], dtype: DTypeLike, budget: Budget) -> np.ndarray:
    """Stack the arrays of all experts, padded with zeros, which add nothing to the next layer."""
    shape = tuple(max(sizes) for sizes in zip(*(a.shape for a in arrays), strict=True))
    n_bytes = len(arrays) * int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    budget.take(n_bytes, f"{path}: a layer of {len(arrays)} experts")
    stacked = _aligned_zeros((len(arrays), *shape), np.dtype(dtype))
    for row, array in zip(stacked, arrays, strict=True):
        part = row[tuple(slice(n) for n in array.shape)]
        with np.errstate(over="ignore"):
            part[...] = array
        if not np.isfinite(part).all():
            raise ValueError(f"{path}: weights hold numbers that are not finite, expected finite ones")
    return stacked


def _aligned_zeros(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Allocate zeros at a multiple of 64 bytes, which JAX uses on a CPU without a copy."""
    n_bytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    memory = np.zeros(n_bytes + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + n_bytes].view(dtype).reshape(shape)
