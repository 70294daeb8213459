"""A model in one .npz: its arrays, settings, origin, licence and a checksum; nothing is pickled.

Arrays are named by their place in the PyTree (``experts/0/alpha``); ``header`` is JSON in UTF-8; ``learned``
has the digests of the photos that the model learned from. The smoothing matrices, ten times the size of the
rest, are left out and computed anew when a model is loaded. Files are not trusted.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.typing import DTypeLike

from jaxclnf.fitting.arguments import check_kind
from jaxclnf.models import stored_networks
from jaxclnf.models.changed_experts import check_sigma
from jaxclnf.models.from_arrays import DAMAGE, DIGEST_BYTES, TEXTS, build_model
from jaxclnf.models.known_calibrations import known_calibration
from jaxclnf.models.laid_out import laid_out
from jaxclnf.models.memory_budget import Budget
from jaxclnf.models.npz import in_one_line, read_checked, write_arrays
from jaxclnf.models.stored_experts import KINDS, kind_of
from jaxclnf.regular_files import no_file
from jaxclnf.types import Model, check_dtype

_FORMAT, _VERSION = "jaxclnf model", 3
_READABLE = (1, 2, 3)
"""Version 1 stores the stages' settings as columns; calibrations before 3 go by the likelihood alone."""

_MAX_HEADER = 2**20  # bytes; once read, JSON takes up to twenty times as much memory
_NOT_ARRAYS = {"settings"}.union(*(kind.derived for kind in KINDS.values()))
_SHIPPED = "model.npz"


def save_model(model: Model, path: str | Path, weights_dtype: DTypeLike | None = None) -> None:
    """Write a model to one file, whole or not at all.

    ``weights_dtype`` float16 halves the file: it rounds the neurons' weights, and those of networks to eight
    bits, and nothing else. Smoothing matrices are not stored, and computed anew by `load_model`. Raises
    ValueError for numbers that are not finite, other types of weights than floating-point numbers, parts
    that have parts of their own, and for experts that were changed without `with_sigma`.
    """
    check_kind("model", model, Model)
    if deep := [part.name for part in model.parts if part.model.parts]:
        raise ValueError(f"the part {deep[0]!r} has parts of its own, which no file of a model can hold")
    _check_weights(weights_dtype)
    header = json.dumps({"format": _FORMAT, "version": _VERSION, **_description(model)}).encode()
    if len(header) > _MAX_HEADER:
        raise ValueError(
            f"the model's names and settings take {len(header)} bytes, at most {_MAX_HEADER} fit"
        )
    arrays = {"header": np.frombuffer(header, np.uint8), **_arrays(model, weights_dtype)}
    write_arrays(Path(path), arrays)


def _check_weights(dtype: DTypeLike | None) -> None:
    """Raise ValueError for a type that holds no weights, as one of whole numbers."""
    try:
        fine = dtype is None or np.dtype(dtype).kind == "f"
    except TypeError:
        fine = False
    if not fine:
        raise ValueError(f"weights_dtype = {dtype!r:.200}, expected numpy.float16, or None for no rounding")


def weights_dtype(model: Model) -> DTypeLike | None:
    """Give `save_model`'s ``weights_dtype``: float16 for weights that were stored so, else None."""
    leaves = jax.tree_util.tree_leaves_with_path(model.experts)
    weights = [np.asarray(leaf) for path, leaf in leaves if getattr(path[-1], "name", "") == "weights"]
    with np.errstate(over="ignore"):
        halves = all(np.array_equal(w, w.astype(np.float16)) for w in weights)
    return np.float16 if halves else None


def load_model(path: str | Path | None = None, dtype: DTypeLike = np.float32) -> Model:
    """Load the model in a file that `save_model` wrote, or the one that ships with the package.

    Its arrays are JAX arrays of ``dtype``, float32 or (with jax_enable_x64) float64; the smoothing
    matrices are computed in float64. Raises ValueError if there is no such file, if it is damaged, or if it
    would take more memory than its size justifies.
    """
    path = _shipped() if path is None else Path(path)
    if problem := no_file(path):
        raise ValueError(f"{path} {problem}; expected a model that save_model wrote")
    check_dtype(dtype)
    return laid_out(path, np.dtype(dtype), lambda: _read_model(path, dtype))


def _read_model(path: Path, dtype: DTypeLike) -> Model:
    budget = Budget(dtype=dtype)
    try:
        arrays = read_checked(path, budget)
    except (ValueError, OSError) as error:
        raise ValueError(f"{path}: not a whole model file ({error}); convert or download it again") from None
    try:
        header = _header(arrays.pop("header"))
        with np.errstate(over="ignore"):  # values that become infinite are refused
            model = build_model(arrays, header, np.dtype(dtype), budget)
    except DAMAGE as error:
        raise ValueError(f"{path}: not a model that jaxclnf can use ({_reason(error)})") from None
    return replace(model, calibration=model.calibration or known_calibration(model)).astype(dtype)


def is_saved_model(path: Path) -> bool:
    """Tell whether `save_model` wrote a file, by its first bytes or, if they are damaged, its name."""
    if not path.is_file():
        return path.suffix == ".npz"
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04" or path.suffix == ".npz"


def packaged(name: str) -> Path:
    """Find a file of ``params/``, in the installed package or beside it in a checkout."""
    package = Path(__file__).parents[1]
    for folder in (package / "params", package.parent / "params"):
        if (folder / name).is_file():
            return folder / name
    raise ValueError(f"params/{name} is not part of this installation of jaxclnf")


def _shipped() -> Path:
    try:
        return packaged(_SHIPPED)
    except ValueError:
        raise ValueError(
            "no model ships with this version of jaxclnf: name a converted .npz or OpenFace's "
            "main_clnf_*.txt, or get OpenFace's models with `jaxclnf models install`"
        ) from None


def _description(model: Model) -> dict[str, Any]:
    """Describe the static part of a model, ready for JSON."""
    parts = [
        {
            "name": p.name,
            "main_points": list(map(int, p.main_points)),  # JSON has no numbers of NumPy's
            "part_points": list(map(int, p.part_points)),
            **_description(p.model),
        }
        for p in model.parts
    ]
    return {
        "provenance": {name: getattr(model.provenance, name) for name in TEXTS},
        "settings": model.settings.described(),
        "experts": [kind_of(experts) for experts in model.experts],
        "parts": parts,
    }


def _arrays(model: Model, weights_dtype: DTypeLike | None) -> dict[str, np.ndarray]:
    """Collect the arrays that define a model, by their place in it."""
    leaves = jax.tree_util.tree_leaves_with_path(model)
    named = {
        jax.tree_util.keystr(place, simple=True, separator="/"): np.asarray(leaf) for place, leaf in leaves
    }
    arrays = {name: array for name, array in named.items() if not set(name.split("/")) & _NOT_ARRAYS}
    arrays |= stored_networks.outlines(model.experts)
    arrays = arrays if weights_dtype is None else stored_networks.rounded(arrays)
    for name, array in arrays.items():
        if weights_dtype is not None and name.endswith("/weights"):
            with np.errstate(over="ignore"):
                arrays[name] = array.astype(weights_dtype)
        if not np.isfinite(arrays[name]).all():
            raise ValueError(f"{name} holds numbers that are not finite in {arrays[name].dtype}")
    if model.learned:
        digests = b"".join(sorted(model.learned))
        arrays["learned"] = np.frombuffer(digests, np.uint8).reshape(-1, DIGEST_BYTES)
    check_sigma(model)
    return arrays


def _header(content: np.ndarray) -> dict[str, Any]:
    """Read a file's header; raises ValueError if its version is newer than this program's."""
    if content.nbytes > _MAX_HEADER:
        raise ValueError(f"a header of {content.nbytes} bytes, expected at most {_MAX_HEADER}")
    header = json.loads(content.tobytes(), parse_constant=_refuse)
    if header["format"] != _FORMAT or header["version"] not in _READABLE:
        found = f"{header['format']} version {header['version']}"
        raise ValueError(f"{found}, expected {_FORMAT} version {_VERSION} or older")
    return header


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} in the header, expected finite numbers")


def _reason(error: BaseException) -> str:
    """Reduce an error's message to one short line."""
    return in_one_line(
        f"{error.args[0]!r} is missing" if isinstance(error, KeyError) and error.args else str(error)
    )
