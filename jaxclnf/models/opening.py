"""Opening a model by the name or path that a user gives."""

from __future__ import annotations

from pathlib import Path

from jaxclnf.models.install import installed
from jaxclnf.models.manifest import read_cen_manifest, read_manifest
from jaxclnf.models.storage import is_saved_model, load_model
from jaxclnf.types import Model


def open_model(name: str | Path | None = None) -> Model:
    """Open a converted .npz, OpenFace's text files, an installed model by its name, or the default.

    Files are told apart by their content. Raises ValueError if there is no such model.
    """
    if name is None or not str(name):
        return load_model()
    from jaxclnf.models.openface import convert_openface

    path = _file(name)
    return load_model(path) if is_saved_model(path) else convert_openface(path)


def own_validator(name: str | Path | None) -> Path | None:
    """Find the validator that OpenFace's file of a model names; None for other models."""
    from jaxclnf.models.openface import named_validator

    path = _file(name) if name else None
    return None if path is None or is_saved_model(path) else named_validator(path)


def _file(name: str | Path) -> Path:
    """Find the file of a model that a user names; raises ValueError if it names none."""
    path = Path(name) if Path(name).exists() else _installed(str(name))
    if path is None:
        raise ValueError(
            f"there is no model {str(name)!r}: give a .npz, a main file of OpenFace, or a name that "
            "`jaxclnf models list` shows"
        )
    return path


def _installed(name: str) -> Path | None:
    """Find the file of an installed model by its name; None for another name."""
    for manifest, what in ((read_manifest(), ""), (read_cen_manifest(), " cen")):
        if name in manifest.models:
            if name not in installed(manifest):
                raise ValueError(f"{name} is not installed: install it with `jaxclnf models install{what}`")
            return installed(manifest)[name]
    return None
