"""Opens a model by what a user calls it."""

from __future__ import annotations

from pathlib import Path

from jaxclnf.models.install import installed
from jaxclnf.models.manifest import read_cen_manifest, read_manifest
from jaxclnf.models.storage import is_saved_model, load_model
from jaxclnf.types import Model


def open_model(name: str | Path | None = None) -> Model:
    """The model of a converted .npz, of OpenFace's text files, of an installed model's name, or the default.

    Files are told apart by their content. Raises ValueError if there is no such model.
    """
    if name is None or not str(name):
        return load_model()
    from jaxclnf.models.openface import convert_openface

    path = _file(name)
    return load_model(path) if is_saved_model(path) else convert_openface(path)


def own_validator(name: str | Path | None) -> Path | None:
    """OpenFace 2's validator that the file of a model of CEN experts names; others have none to go by."""
    from jaxclnf.models.openface import named_validator

    path = _file(name) if name else None
    return None if path is None or is_saved_model(path) else named_validator(path)


def _file(name: str | Path) -> Path:
    """The file that a user's name for a model means."""
    return Path(name) if Path(name).exists() else _installed(str(name)) or Path(name)


def _installed(name: str) -> Path | None:
    """The file of an installed model's name; None for another name."""
    for manifest, what in ((read_manifest(), ""), (read_cen_manifest(), " cen")):
        if name in manifest.models:
            if name not in installed(manifest):
                raise ValueError(f"{name} is not installed: install it with `jaxclnf models install{what}`")
            return installed(manifest)[name]
    return None
