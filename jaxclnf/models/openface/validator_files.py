"""OpenFace's binary formats of its landmark detection validators: that of OpenFace 2 and that of 2016."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jaxclnf.models.memory_budget import Budget
from jaxclnf.models.openface.older_validator_files import correlating, read_pool, read_score, widened
from jaxclnf.models.openface.untrusted_files import ByteReader, cast
from jaxclnf.models.openface.validator_views import View
from jaxclnf.types import Validator, check_dtype

_OLDER, _CNN = 2, 3  # the types of validators that are read
_CONVOLUTION, _POOL, _CONNECTED, _RELU = range(4)
_MOST = 4096  # views, layers, maps; pixels of a side
N_POINTS = 68
"""Number of landmarks of a face that a validator judges."""

_PIXEL = 80  # bytes of memory that a pixel of a view costs: triangle, mean and deviation, cast and stacked


def load_validator(path: str | Path, dtype: DTypeLike = np.float32) -> Validator:
    """Read the validator in OpenFace 2's ``validator_cnn_68.txt``, with JAX arrays of ``dtype``.

    That is float32 or (with jax_enable_x64) float64. The validator of OpenFace's 2016 release,
    ``validator_general_68.txt``, is read too. Raises ValueError for other dtypes, and if the file is missing,
    damaged or of another kind.
    """
    check_dtype(dtype, "validator")
    path = Path(path)
    kind, centres, views = _read_views(path, Budget(dtype=dtype))
    older = kind == _OLDER
    validator = _stacked(path, centres, widened(views) if older else views, dtype, older)
    return jax.tree.map(jnp.asarray, validator)


def _read_views(path: Path, budget: Budget) -> tuple[int, np.ndarray, list[View]]:
    """Read the type of validator, the view centres in radians and the views."""
    file = ByteReader(path, budget)
    kind = file.integer("type of validator", 0, 99)
    if kind not in (_OLDER, _CNN):
        raise file.error(f"a validator of type {kind}, expected {_CNN}, OpenFace 2's, or {_OLDER}")
    n_views = file.integer("number of views", 1, _MOST)
    centres = np.array([file.matrix("view centre", (3, 1))[:, 0] for _ in range(n_views)])
    views = [_read_view(file, kind == _OLDER) for _ in range(n_views)]
    file.end()
    n_triangles = n_views * max(len(view.triangles) for view in views)  # padded, of three columns
    file.reserve(3 * 3 * 8 * n_triangles, f"{n_triangles} triangles")
    return kind, np.deg2rad(centres), views


def _read_view(file: ByteReader, older: bool) -> View:
    mean, deviation = (_row(file, name) for name in ("mean", "standard deviation"))
    kernels, weights = _read_older_layers(file) if older else _read_layers(file)
    n_pixels = file.integer("number of pixels", 1, _MOST**2)
    origin = np.array([file.number(name, -1e6, 1e6) for name in ("least x", "least y")])
    file.matrix("reference shape", (2 * N_POINTS, 1))
    triangles = file.matrix("triangles", (None, 3))
    triangle_of = file.any_matrix("triangle of each pixel", _MOST)
    file.reserve(_PIXEL * triangle_of.size, "a picture of the face")
    mask = file.matrix("mask", triangle_of.shape) != 0
    alpha, beta = (file.matrix(name, (len(triangles), 3)) for name in ("alpha", "beta"))
    _check_warp(file, triangles, triangle_of, mask)
    counts = {int(mask.sum()), n_pixels, mean.size, deviation.size}
    if len(counts) != 1:
        raise file.error(f"a face of {sorted(counts)} pixels, expected one number of them")
    if not (deviation > 0).all():
        raise file.error("a standard deviation is not positive")
    triangle_of = np.where(mask, triangle_of, -1).astype(np.int32)
    pictures = _picture(mask, mean, 0.0), _picture(mask, deviation, 1.0)
    return View(origin, triangles, alpha, beta, triangle_of, *pictures, *kernels, *weights)


def _row(file: ByteReader, name: str) -> np.ndarray:
    return file.any_matrix(name, _MOST**2)[0]


def _check_warp(file: ByteReader, triangles: np.ndarray, triangle_of: np.ndarray, mask: np.ndarray) -> None:
    indices = triangles.dtype.kind in "iu" and triangle_of.dtype.kind in "iu"
    if not indices or triangles.min() < 0 or triangles.max() >= N_POINTS:
        raise file.error(f"triangles of other landmarks than 0 to {N_POINTS - 1}")
    used = triangle_of[mask]
    if used.size == 0 or used.min() < 0 or used.max() >= len(triangles):
        raise file.error(f"a pixel of the face in none of the {len(triangles)} triangles, or no pixel at all")


def _picture(mask: np.ndarray, values: np.ndarray, outside: float) -> np.ndarray:
    """Put values of the mask's pixels, which come column by column, in their places."""
    picture = np.full(mask.shape[::-1], outside)
    picture[mask.T] = values
    return picture.T


Layers = tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]
"""The weights and biases of layers of one kind."""


def _read_layers(file: ByteReader) -> tuple[Layers, Layers]:
    """Read convolutions and fully connected layers, which must come in the order of OpenFace's file."""
    kinds, convolutions, connected = [], [], []
    for _ in range(file.integer("number of layers", 1, 99)):
        kinds.append(file.integer("kind of layer", _CONVOLUTION, _RELU))
        if kinds[-1] == _CONVOLUTION:
            convolutions.append(_read_convolution(file))
        elif kinds[-1] == _CONNECTED:
            connected.append(_read_connected(file))
    expected = [_CONVOLUTION, _RELU, _POOL] * len(convolutions) + [_CONNECTED, _RELU] * len(connected)
    if not (convolutions and connected) or kinds != expected[:-1]:
        raise file.error(
            f"layers of kinds {kinds}, expected convolutions (each 0, 3, 1), then connected ones (2, 3, 2)"
        )
    kernels, kernel_biases = zip(*convolutions, strict=True)
    weights, weight_biases = zip(*connected, strict=True)
    return (kernels, kernel_biases), (weights, weight_biases)


def _read_older_layers(file: ByteReader) -> tuple[Layers, Layers]:
    """Read the layers of the 2016 validator, whose file does not hold the functions between them."""
    n_layers = file.integer("number of layers", 3, 99)
    convolutions = []
    for kind in [_CONVOLUTION, _POOL] * (n_layers // 2) + [_CONNECTED]:
        file.integer("kind of layer", kind, kind)
        if kind == _CONVOLUTION:
            kernels, biases = _read_convolution(file)
            convolutions.append((correlating(kernels), biases))
        elif kind == _POOL:
            read_pool(file)
    weights, bias = read_score(file)
    kernels, kernel_biases = zip(*convolutions, strict=True)
    return (kernels, kernel_biases), ((weights,), (bias,))


def _read_convolution(file: ByteReader) -> tuple[np.ndarray, np.ndarray]:
    """Read kernels (n_out, n_in, height, width), which the file stores input by input, and biases."""
    n_in, n_out = (file.integer(name, 1, _MOST) for name in ("input maps", "output maps"))
    biases = file.take("biases", "<f4", n_out)
    first = file.any_matrix("kernel", _MOST)
    others = [file.matrix("kernel", first.shape) for _ in range(_countable(file, n_in * n_out) - 1)]
    return np.stack([first, *others]).reshape(n_in, n_out, *first.shape).swapaxes(0, 1), biases


def _countable(file: ByteReader, n_kernels: int) -> int:
    """Read the number of kernels; raises ValueError if the file cannot hold so many."""
    if n_kernels * 16 > file.left:
        raise file.error(f"{n_kernels} kernels, but {file.left} bytes are left")
    return n_kernels


def _read_connected(file: ByteReader) -> tuple[np.ndarray, np.ndarray]:
    biases = file.any_matrix("biases", _MOST)
    return file.matrix("weights", (None, biases.size)), biases.ravel()


def _stacked(path: Path, centres: np.ndarray, views: list[View], dtype: DTypeLike, older: bool) -> Validator:
    """Stack the views to one validator; their networks and pictures must be of one size."""
    n_triangles = max(len(view.triangles) for view in views)
    fields: dict[str, Any] = {"view_centres": cast(path, "view centres", centres, dtype)}
    for name in View._fields:
        columns = [getattr(view, name) for view in views]
        if name in ("triangles", "alpha", "beta"):
            columns = [np.pad(c, ((0, n_triangles - len(c)), (0, 0))) for c in columns]
        if name in ("kernels", "kernel_biases", "weights", "weight_biases"):
            if len({len(c) for c in columns}) != 1:
                raise ValueError(f"{path}: {name} of {sorted(map(len, columns))} layers, expected as many")
            layers = zip(*columns, strict=True)
            fields[name] = tuple(_stack(path, name, layer, dtype) for layer in layers)
        else:
            fields[name] = _stack(path, name, columns, dtype)
    validator = Validator(n_points=N_POINTS, older=older, **fields)
    _check_sizes(path, validator)
    return validator


def _stack(path: Path, name: str, views: Any, dtype: DTypeLike) -> np.ndarray:
    if len({view.shape for view in views}) != 1:
        raise ValueError(f"{path}: {name} of {[v.shape for v in views]}, expected one size in all views")
    stacked = np.stack(views)
    return stacked.astype(np.int32) if stacked.dtype.kind in "iu" else cast(path, name, stacked, dtype)


def _check_sizes(path: Path, validator: Validator) -> None:
    """Raise ValueError unless each layer fits the one before, and maps that are pooled have even sides."""
    maps, (rows, cols) = 1, validator.mean.shape[1:]
    for kernels in validator.kernels:
        n_out, n_in, height, width = kernels.shape[1:]
        rows, cols = rows - height + 1, cols - width + 1
        if n_in != maps or rows % 2 or cols % 2 or min(rows, cols) < 2:
            raise ValueError(f"{path}: a layer takes {n_in} maps and gives {rows} x {cols} pixels to halve")
        maps, rows, cols = n_out, rows // 2, cols // 2
    size = maps * rows * cols
    for weights in validator.weights:
        if weights.shape[1] != size:
            raise ValueError(f"{path}: a layer takes {weights.shape[1]} values, expected {size}")
        size = weights.shape[2]
