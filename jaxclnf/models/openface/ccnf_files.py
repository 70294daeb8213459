"""OpenFace's binary format of the CCNF patch experts of one scale."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jax.typing import DTypeLike

from jaxclnf.models.memory_budget import Budget
from jaxclnf.models.openface.untrusted_files import ByteReader, about, cast
from jaxclnf.models.sigma import MAX_WINDOW, smoothing_matrices
from jaxclnf.models.stored_experts import MAX_SUPPORT, check_ccnf
from jaxclnf.types import PatchExperts

_CCNF, _NEURON, _CORRELATION, _FLOAT = 5, 2, 0, 5  # codes of an expert, a neuron, its kind, a float matrix
_MAX_COUNT = 2**31 - 1  # for counts that the bytes left in the file bound anyway
_EXPERT = 500  # bytes that an expert costs while it is read, beside its neurons


class _Expert(NamedTuple):
    neurons: np.ndarray  # records of `_neuron_dtype`; empty for an invisible landmark
    betas: np.ndarray
    confidence: float


class _Scale(NamedTuple):
    path: Path
    patch_scale: float
    centres: np.ndarray  # (n_views, 3), degrees
    visibility: np.ndarray  # (n_views, n_points)
    edges: dict[int, np.ndarray]  # by window size, (n_edges, area, area)
    experts: list[_Expert]  # views times points


def read_experts(
    paths: Sequence[Path],
    n_points: int | None = None,
    dtype: DTypeLike = np.float64,
    budget: Budget | None = None,
) -> tuple[PatchExperts, ...]:
    """Read the patch experts of a model's scales, which must be of ``n_points`` landmarks, as numpy arrays.

    Edge components come from the last file, as in OpenFace, whose reader overwrites them.
    """
    budget = budget or Budget(dtype=dtype)
    scales = [_read_scale(path, budget) for path in paths]
    for scale in scales:
        if n_points and n_points != scale.visibility.shape[1]:
            raise ValueError(
                f"{scale.path}: {scale.visibility.shape[1]} landmarks, but the PDM has {n_points}"
            )
    return tuple(_assemble(scale, scales[-1].edges, np.dtype(dtype), budget) for scale in scales)


def _read_scale(path: Path, budget: Budget) -> _Scale:
    file = ByteReader(path, budget)
    patch_scale = file.number("patch scale", 1e-3, 1e3)
    views = range(file.integer("number of views", 1, _MAX_COUNT))
    centres = np.array([file.matrix("view centre", (3, 1))[:, 0] for _ in views])
    visibility = [file.matrix("visibility", (None, 1))]
    visibility += [file.matrix("visibility", (len(visibility[0]), 1)) for _ in views[1:]]
    visible = np.array(visibility)[..., 0] != 0
    edges = _read_edges(file)
    n_edges = len(next(iter(edges.values()), ()))
    file.reserve(visible.size * _EXPERT, f"{visible.size} experts")
    experts = [_read_expert(file, n_edges) for _ in range(visible.size)]
    file.end()
    edges = {window: components for window, components in edges.items() if n_edges}
    return _Scale(path, patch_scale, centres, visible, edges, experts)


def _read_edges(file: ByteReader) -> dict[int, np.ndarray]:
    """Read the components S_k of each window size; every size has the same number of them."""
    edges = {}
    for _ in range(file.integer("number of windows", 0, MAX_WINDOW)):
        window = file.integer("window", 1, MAX_WINDOW)
        area, count = window**2, file.integer("number of edge components", 0, _MAX_COUNT)
        components = [file.matrix("edge component", (area, area)) for _ in range(count)]
        file.reserve(count * (8 * area**2 + 100), f"{count} edge components")
        if window in edges or any(len(others) != count for others in edges.values()):
            raise file.error(f"window {window} comes twice or has more or fewer edge components than another")
        edges[window] = np.array(components).reshape(count, area, area)
    return edges


@lru_cache
def _neuron_dtype(height: int, width: int) -> np.dtype:
    header = [("tag", "<i4"), ("kind", "<i4"), ("norm_weights", "<f8"), ("bias", "<f8"), ("alpha", "<f8")]
    return np.dtype([*header, ("matrix", "<i4", 3), ("weights", "<f4", (height, width))])


def _read_expert(file: ByteReader, n_edges: int) -> _Expert:
    file.integer("code of a CCNF expert", _CCNF, _CCNF)
    width, height = (file.integer("size of a neuron", 0, MAX_SUPPORT) for _ in range(2))
    count = file.integer("number of neurons", 0, _MAX_COUNT)
    if count == 0:
        file.take("end of an empty expert", "<i4")
        return _Expert(np.zeros(0, _neuron_dtype(0, 0)), np.zeros(0), 0.0)
    if min(width, height) == 0:
        raise file.error(f"{count} neurons of {height} x {width} weights, expected at least 1 x 1")
    neurons = file.take("neurons", _neuron_dtype(height, width), count)
    expected = {"tag": _NEURON, "kind": _CORRELATION, "matrix": (height, width, _FLOAT)}
    for name, value in expected.items():
        if (neurons[name] != value).any():
            raise file.error(f"the {name} of a neuron is not {value}, the only one that is read")
    betas = file.take("betas", "<f8", n_edges)
    return _Expert(neurons, betas, float(file.take("patch confidence", "<f8")))


def _assemble(scale: _Scale, edges: dict[int, np.ndarray], dtype: np.dtype, budget: Budget) -> PatchExperts:
    path, shape = scale.path, scale.visibility.shape
    with about(path):
        neurons, betas = _pad(scale, budget), _betas(scale, len(next(iter(edges.values()), ())), budget)
        budget.take(sum(s.size for s in edges.values()) * dtype.itemsize, "edge components")
    values = {
        "patch_scale": np.array(scale.patch_scale),
        "view_centres": np.deg2rad(scale.centres),
        "weights": neurons["weights"],
        "norm_weights": neurons["norm_weights"],
        "bias": neurons["bias"],
        "alpha": neurons["alpha"],
        "betas": betas,
        "patch_confidence": np.array([expert.confidence for expert in scale.experts]).reshape(shape),
    }
    fields: dict[str, Any] = {name: cast(path, name, value, dtype) for name, value in values.items()}
    fields["visibility"] = scale.visibility
    fields["edges"] = {window: cast(path, "edges", s, dtype) for window, s in edges.items()}
    terms = fields["alpha"], fields["betas"], fields["visibility"], fields["edges"]
    with about(path):
        check_ccnf(fields)
        fields["sigma"], fields["sigma_index"] = smoothing_matrices(*terms, budget)
    return PatchExperts(**fields)


def _pad(scale: _Scale, budget: Budget) -> np.ndarray:
    """Stack the neurons of all views and landmarks in one array of records, padded with zeros."""
    experts = [expert for expert in scale.experts if len(expert.neurons)]
    if len({expert.neurons.dtype for expert in experts}) != 1:
        raise ValueError("no neurons or neurons of several sizes, expected neurons of one size")
    kind, count = experts[0].neurons.dtype, max(len(expert.neurons) for expert in experts)
    n_bytes = len(scale.experts) * count * kind.itemsize
    budget.take(2 * n_bytes, f"{len(scale.experts)} experts of up to {count} neurons")  # padded, and cast
    padded = np.zeros((len(scale.experts), count), kind)
    for row, expert in zip(padded, scale.experts, strict=True):
        if len(expert.neurons):
            row[: len(expert.neurons)] = expert.neurons
    return padded.reshape(*scale.visibility.shape, count)


def _betas(scale: _Scale, n_edges: int, budget: Budget) -> np.ndarray:
    budget.take(2 * 8 * len(scale.experts) * n_edges, f"betas of {len(scale.experts)} experts")
    betas = np.zeros((len(scale.experts), n_edges))
    for row, expert in zip(betas, scale.experts, strict=True):
        if len(expert.neurons) and len(expert.betas) != n_edges:
            raise ValueError(f"{len(expert.betas)} betas, but the last scale has {n_edges} components")
        row[: len(expert.betas)] = expert.betas
    return betas.reshape(*scale.visibility.shape, n_edges)
