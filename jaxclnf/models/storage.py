"""A model in one .npz: what defines it, where it comes from, its licence, and a checksum; nothing pickled.

Arrays are named by their place in the PyTree (``experts/0/alpha``); ``header`` is JSON in UTF-8. The
smoothing matrices, ten times the size of the rest, are left out and computed anew when a model is loaded.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, get_type_hints

import jax
import numpy as np
from jax.typing import DTypeLike

from jaxclnf.models.sigma import smoothing_matrices
from jaxclnf.types import PDM, FitConfig, Model, Part, PatchExperts, Provenance

_FORMAT, _VERSION = "jaxclnf model", 1
_MAX_BYTES = 2**30  # of all arrays, unpacked
_DERIVED = ("sigma", "sigma_index")
_IN_HEADER = ("settings",)
_SHIPPED = "model.npz"
_BEFORE: dict[str, Any] = {"between_views": [], "parts": {}}
"""What settings meant that were saved before there was a choice."""
_DAMAGE = (ValueError, LookupError, TypeError, AttributeError, OSError, EOFError, MemoryError, RuntimeError)


def save_model(model: Model, path: str | Path, weights_dtype: DTypeLike | None = None) -> None:
    """Write a model to one file, whole or not at all.

    ``weights_dtype`` float16 halves the file by rounding the neurons' weights; nothing else is rounded.
    """
    header = json.dumps({"format": _FORMAT, "version": _VERSION, **_description(model)})
    arrays = {"header": np.frombuffer(header.encode(), np.uint8), **_arrays(model, weights_dtype)}
    arrays["checksum"] = np.array(_checksum(arrays))
    path = Path(path)
    if not path.parent.is_dir() or path.is_dir():
        raise ValueError(f"{path}: not a place for a file, expected a file name in a folder that exists")
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with unfinished.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def load_model(path: str | Path | None = None, dtype: DTypeLike = np.float32) -> Model:
    """The model in a file that `save_model` wrote, or the one that ships with the package.

    Its arrays are JAX arrays of ``dtype``, float32 or (with jax_enable_x64) float64; the smoothing
    matrices are computed in float64. Raises ValueError if there is no such file or it is damaged.
    """
    path = _shipped() if path is None else Path(path)
    arrays = _read(path)
    try:
        header = json.loads(arrays.pop("header").tobytes())
        model = _build(_nest(arrays), header, np.dtype(dtype))
    except _DAMAGE as error:
        raise ValueError(f"{path}: not a model that jaxclnf can use ({_reason(error)})") from None
    return model.astype(dtype)


def is_saved_model(path: Path) -> bool:
    """Whether a file is one that `save_model` wrote, by its first bytes or, damaged, its name."""
    if not path.is_file():
        return path.suffix == ".npz"
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04" or path.suffix == ".npz"


def packaged(name: str) -> Path:
    """A file of ``params/``, in the package once it is installed, beside it in a checkout."""
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
    """What of a model is no array, ready for JSON."""
    parts = [
        {"name": p.name, "main_points": p.main_points, "part_points": p.part_points, **_description(p.model)}
        for p in model.parts
    ]
    return {"provenance": asdict(model.provenance), "settings": model.settings.described(), "parts": parts}


def _arrays(model: Model, weights_dtype: DTypeLike | None) -> dict[str, np.ndarray]:
    """The arrays that define a model, by their place in it."""
    leaves = jax.tree_util.tree_leaves_with_path(model)
    named = {
        jax.tree_util.keystr(place, simple=True, separator="/"): np.asarray(leaf) for place, leaf in leaves
    }
    arrays = {
        name: array for name, array in named.items() if not set(name.split("/")) & {*_DERIVED, *_IN_HEADER}
    }
    for name, array in arrays.items():
        if weights_dtype is not None and name.endswith("/weights"):
            with np.errstate(over="ignore"):
                arrays[name] = array.astype(weights_dtype)
        if not np.isfinite(arrays[name]).all():
            raise ValueError(f"{name} holds numbers that are not finite in {arrays[name].dtype}")
    return arrays


def _checksum(arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {arrays[name].shape}\n".encode())
        digest.update(array.data)
    return digest.hexdigest()


def _read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file whose checksum is right."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file, expected a model that save_model wrote")
    try:
        with zipfile.ZipFile(path) as members:
            size = sum(member.file_size for member in members.infolist())
        if size > _MAX_BYTES:
            raise ValueError(f"{size} bytes unpacked, expected at most {_MAX_BYTES}")
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        checksum = arrays.pop("checksum").item()
    except (*_DAMAGE, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path}: not a whole model file ({_reason(error)})") from None
    if checksum != _checksum(arrays):
        raise ValueError(
            f"{path}: the checksum does not match, the file is damaged: convert or download it again"
        )
    return arrays


def _reason(error: BaseException) -> str:
    text = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) and error.args else str(error)
    return f"{text[:200]} ..." if len(text) > 200 else text


def _nest(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Nested dictionaries from names with slashes."""
    tree: dict[str, Any] = {}
    for name, array in arrays.items():
        *folders, leaf = name.split("/")
        node = tree
        for folder in folders:
            node = node.setdefault(folder, {})
        node[leaf] = array
    return tree


def _build(tree: dict[str, Any], header: dict[str, Any], dtype: np.dtype) -> Model:
    if header["format"] != _FORMAT or header["version"] != _VERSION:
        raise ValueError(
            f"{header['format']} version {header['version']}, expected {_FORMAT} version {_VERSION}"
        )
    return _build_model(tree, header, dtype)


def _build_model(tree: dict[str, Any], description: dict[str, Any], dtype: np.dtype) -> Model:
    pdm = PDM(**_checked(PDM, "pdm", tree["pdm"], {}, dtype))
    sizes = {"n_points": pdm.n_points}
    scales = tree.get("experts", {})
    experts = [_build_experts(scales[str(i)], sizes, dtype) for i in range(len(scales))]
    parts = []
    for i, part in enumerate(description["parts"]):
        model = _build_model(tree["parts"][str(i)]["model"], part, dtype)
        main, own = tuple(part["main_points"]), tuple(part["part_points"])
        if len(main) != len(own) or not (_within(main, pdm.n_points) and _within(own, model.pdm.n_points)):
            raise ValueError(f"part {part['name']}: landmarks {main} and {own} do not fit the models")
        parts.append(Part(str(part["name"]), main, own, model))
    provenance = Provenance(**{f.name: str(description["provenance"][f.name]) for f in fields(Provenance)})
    settings = _build_settings(description.get("settings", {}))
    return Model(pdm, tuple(experts), tuple(parts), provenance, settings)


def _build_settings(description: dict[str, Any]) -> FitConfig:
    """The settings that a header describes, of files without any the default ones."""
    usual, given = FitConfig(), {}
    described = _BEFORE | description if description else description
    for f in fields(FitConfig):
        value, old = described.get(f.name), getattr(usual, f.name)
        if value is None:
            continue
        if f.name == "parts":
            given[f.name] = {str(name): _build_settings(part) for name, part in value.items()}
        elif f.metadata.get("static"):
            given[f.name] = tuple(map(int, value)) if isinstance(old, tuple) else type(old)(value)
        else:
            given[f.name] = np.asarray(value, np.float32)
            if given[f.name].ndim < np.ndim(old) or not np.isfinite(given[f.name]).all():
                raise ValueError(f"settings/{f.name}: {value!r:.80}, expected finite numbers like {old}")
    settings = replace(usual, **given)
    settings.stages(0)
    return settings


def _within(points: tuple[int, ...], n_points: int) -> bool:
    return all(isinstance(point, int) and 0 <= point < n_points for point in points)


def _build_experts(tree: dict[str, Any], sizes: dict[str, int], dtype: np.dtype) -> PatchExperts:
    edges = {int(window): np.asarray(s, dtype) for window, s in tree.pop("edges", {}).items()}
    arrays = _checked(PatchExperts, "experts", tree, sizes, dtype)
    for window, components in edges.items():
        if components.shape != (arrays["betas"].shape[-1], window**2, window**2):
            raise ValueError(f"edges of window {window} have shape {components.shape}")
    terms = arrays["alpha"], arrays["betas"], arrays["visibility"], edges
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        sigma, index = smoothing_matrices(*terms, each=pool.map)
    arrays |= {"edges": edges, "sigma": sigma, "sigma_index": index}
    return PatchExperts(**arrays)


def _checked(
    cls: type, name: str, tree: dict[str, Any], sizes: dict[str, int], dtype: np.dtype
) -> dict[str, Any]:
    """The arrays of a dataclass, floating-point ones in ``dtype``, if their shapes fit its annotations."""
    sizes, arrays = {"3": 3, **sizes}, {}
    hints = {key: hint for key, hint in get_type_hints(cls).items() if key not in ("edges", *_DERIVED)}
    for key, hint in hints.items():
        array, dims = tree[key], hint.dim_str.split()
        fits = len(dims) == array.ndim and array.dtype.name in hint.dtypes
        if not fits or any(sizes.setdefault(d, n) != n for d, n in zip(dims, array.shape, strict=True)):
            raise ValueError(
                f"{name}/{key}: {array.dtype} of shape {array.shape}, expected [{hint.dim_str}], {sizes}"
            )
        with np.errstate(over="ignore"):
            arrays[key] = array if array.dtype == bool else array.astype(dtype)
        if not np.isfinite(arrays[key]).all():
            raise ValueError(f"{name}/{key} holds numbers that are not finite in {dtype}")
    return arrays
