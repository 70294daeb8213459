"""Opens a model by what a user calls it."""

from __future__ import annotations

from pathlib import Path

from jaxclnf.models.install import installed, read_manifest
from jaxclnf.models.openface import convert_openface
from jaxclnf.models.storage import is_saved_model, load_model
from jaxclnf.types import Model


def open_model(name: str | Path | None = None) -> Model:
    """The model of a converted .npz, of OpenFace's text files, of an installed model's name, or the default.

    Files are told apart by their content. Raises ValueError if there is no such model.
    """
    if name is None or not str(name):
        return load_model()
    manifest = read_manifest()
    if str(name) in manifest.models and not Path(name).exists():
        if str(name) not in installed(manifest):
            raise ValueError(f"{name} is not installed: install it with `jaxclnf models install`")
        return load_model(installed(manifest)[str(name)])
    return load_model(name) if is_saved_model(Path(name)) else convert_openface(name)
