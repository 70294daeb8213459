"""``jaxclnf info``: the facts about an installation that a bug report needs."""

from __future__ import annotations

import os
import platform
from contextlib import suppress

import typer


def info() -> None:
    """Print the versions, devices, native code, model and folders in use, for bug reports."""
    for name, value in facts().items():
        typer.echo(f"{name:<12}{value}")


def facts() -> dict[str, str]:
    """Collect the facts, by name."""
    from importlib.metadata import version

    import jax
    import numpy as np

    import jaxclnf
    from jaxclnf import native
    from jaxclnf.models.storage import packaged

    python = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return {
        "jaxclnf": jaxclnf.__version__,
        "python": python,
        "jax": f"{jax.__version__}, jaxlib {version('jaxlib')}, numpy {np.__version__}",
        "devices": ", ".join(map(str, jax.devices())),
        "native code": f"no: {native.missing()}" if native.missing() else "yes",
        "model": os.environ.get("JAXCLNF_MODEL") or str(packaged("model.npz")),
        "OpenFace": _openface(),
        "cache": _cache(),
    }


def _openface() -> str:
    """Describe the folder of OpenFace's models, and which of them are installed there."""
    from jaxclnf.models.install import installed, openface_folder
    from jaxclnf.models.manifest import read_cen_manifest, read_manifest

    manifest = read_manifest()
    place = openface_folder(manifest)
    if not place.is_dir():
        return f"{place}, which does not exist: `jaxclnf models install` makes it"
    there = [*installed(manifest), *installed(read_cen_manifest())]
    return f"{place}, {', '.join(there) or 'without whole models'}"


def _cache() -> str:
    """Describe the cache folder and its size."""
    from jaxclnf import cache

    place = cache.place()
    if place is None:
        return "off"
    if reason := cache.refusal(place):
        return f"no: {reason}"
    size = 0
    for path in place.rglob("*"):
        with suppress(OSError):  # other processes remove entries
            size += path.stat().st_size if path.is_file() else 0
    return f"{place}, {size / 1e6:.0f} MB"
