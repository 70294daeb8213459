"""Installing OpenFace's models, for those who accept its licence: fetched, checked, converted, stored.

The files lie where other packages that use them look too: ``OpenFaceModels/2.2.0/originals/<path in
OpenFace's repository>`` in the user's data folder, or below ``$OPENFACE_MODELS_DIR`` in place of
``OpenFaceModels``. The converted models lie beside them in ``derived/jaxclnf``. `jaxclnf.models.manifest`
says which files they are; they come from a server (`jaxclnf.models.download`) or from a copy of OpenFace.
"""

from __future__ import annotations

import os
from pathlib import Path

from jaxclnf.models.fetch import obtain
from jaxclnf.models.manifest import Fetch, Manifest, Progress, RemoteFile, read_manifest
from jaxclnf.models.storage import save_model

_ORIGINALS, _VALIDATOR = "originals", "validator_cnn_68.txt"
_CONVERTED = "derived/jaxclnf/1"  # the number changes when a conversion's result does


def openface_folder(manifest: Manifest) -> Path:
    """Give the folder of OpenFace's files of this version."""
    import platformdirs

    chosen = os.environ.get("OPENFACE_MODELS_DIR", "").strip()
    base = Path(chosen).expanduser() if chosen else platformdirs.user_data_path("OpenFaceModels", False)
    return base / manifest.openface_version


def installed(manifest: Manifest) -> dict[str, Path]:
    """List the installed models by name: converted ones, or OpenFace's main files."""
    originals = openface_folder(manifest) / _ORIGINALS
    if not manifest.converted:
        whole = all((originals / file.path).is_file() for file in manifest.files)
        return {name: originals / path for name, path in manifest.models.items() if whole}
    paths = {name: openface_folder(manifest) / _CONVERTED / f"{name}.npz" for name in manifest.models}
    return {name: path for name, path in paths.items() if path.is_file()}


def installed_validator() -> Path:
    """Find OpenFace 2's validator among the installed files; raises ValueError if it is not installed."""
    manifest = read_manifest()
    (file,) = (file for file in manifest.files if file.path.endswith(_VALIDATOR))
    path = openface_folder(manifest) / _ORIGINALS / file.path
    if not path.is_file():
        raise ValueError("OpenFace's validator is not installed: install it with `jaxclnf models install`")
    return path


def licence_text(manifest: Manifest, fetch: Fetch) -> str:
    """Fetch the text of the licence that comes with the files."""
    (file,) = (file for file in manifest.files if file.path == manifest.licence)
    return _obtain(manifest, file, fetch, lambda n: None).read_text(encoding="utf-8", errors="replace")


def install(manifest: Manifest, fetch: Fetch, progress: Progress = lambda n: None) -> dict[str, Path]:
    """Fetch missing files, check everything, convert the models; returns the models' files by name.

    Raises ValueError or OSError if a file cannot be fetched, or is not the one that the manifest describes;
    fetched files are kept, and the next call goes on from there.
    """
    from jaxclnf.models.openface import convert_openface

    originals = {file.path: _obtain(manifest, file, fetch, progress) for file in manifest.files}
    for name, path in manifest.models.items():
        model = convert_openface(originals[path])
        if not manifest.converted:
            continue
        target = openface_folder(manifest) / _CONVERTED / f"{name}.npz"
        target.parent.mkdir(parents=True, exist_ok=True)
        save_model(model, target)
    return installed(manifest)


def _obtain(manifest: Manifest, file: RemoteFile, fetch: Fetch, progress: Progress) -> Path:
    return obtain(openface_folder(manifest) / _ORIGINALS, file, fetch, progress)
