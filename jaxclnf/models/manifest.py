"""The manifest of OpenFace's files to install: the source, size and SHA-256 of each.

``params/openface-2.2.0.json`` lists them; ``openface-2.2.0-cen.json`` adds the files of CEN experts, which
are used as they are, not converted.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jaxclnf.models.storage import packaged

Progress = Callable[[int], None]
"""Function that is told how many more bytes have arrived."""


@dataclass(frozen=True)
class RemoteFile:
    """A file of OpenFace's repository, or one that belongs there but has an address of its own.

    No SHA-256 has been published of files outside the repository; sizes of short texts are unknown.
    """

    path: str
    size: int | None = None
    sha256: str | None = None
    url: str | None = None


@dataclass(frozen=True)
class Manifest:
    """The models and files to install, and where they come from."""

    openface_version: str
    base_url: str
    licence: str  # path of the licence's text
    models: dict[str, str]  # our names -> paths of the main files
    files: tuple[RemoteFile, ...]
    converted: bool = True  # else the models are OpenFace's own files

    @property
    def size(self) -> int:
        """Sum the bytes of all files whose sizes are known."""
        return sum(file.size or 0 for file in self.files)

    def from_one_place(self) -> Manifest:
        """Make the manifest of a mirror, which has all files under one address."""
        return replace(self, files=tuple(replace(file, url=None) for file in self.files))


Fetch = Callable[[RemoteFile, Path, Progress], None]
"""Function that brings a file to a path, where its beginning may exist already."""


def read_manifest() -> Manifest:
    """Read the manifest of OpenFace 2.2.0's CCNF models."""
    values = json.loads(packaged("openface-2.2.0.json").read_text(encoding="utf-8"))
    return Manifest(**values | {"files": _files(values)})


def read_cen_manifest() -> Manifest:
    """Read the manifest of OpenFace 2.2.0's CEN model, whose PDM and eyes are those of the CCNF models."""
    values = json.loads(packaged("openface-2.2.0-cen.json").read_text(encoding="utf-8"))
    base = read_manifest()
    return replace(base, models=values["models"], files=base.files + _files(values), converted=False)


def _files(values: dict[str, Any]) -> tuple[RemoteFile, ...]:
    return tuple(RemoteFile(**file) for file in values["files"])
