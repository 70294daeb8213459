"""Files brought into the user's folder, from a server or a copy, and checked."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from jaxclnf.models.manifest import Fetch, Progress, RemoteFile


def obtain(place: Path, file: RemoteFile, fetch: Fetch, progress: Progress) -> Path:
    """Fetch a file into the user's folder, unless it is there already; returns its path."""
    path = place / PurePosixPath(file.path)
    if not _unlike(path, file):
        progress(file.size or 0)
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.part")
    if unfinished.is_symlink() or (unfinished.is_file() and unfinished.stat().st_nlink > 1):
        unfinished.unlink()  # a planted link, through which another file would be written
    fetch(file, unfinished, progress)
    if unlike := _unlike(unfinished, file):
        unfinished.unlink()
        raise ValueError(f"{file.path}: {unlike}; it was not kept")
    unfinished.replace(path)
    return path


def _unlike(path: Path, file: RemoteFile) -> str:
    """Say how a file differs from the described one; empty if it is the same."""
    if not path.is_file():
        return "it did not come"
    if file.size is not None and size_on_disk(path) != file.size:
        return f"it has {size_on_disk(path)} bytes, expected {file.size}"
    with path.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest() if file.sha256 else None
    return f"its SHA-256 is {found}, expected {file.sha256}" if found != file.sha256 else ""


def from_folder(source: Path) -> Fetch:
    """Copy files from an OpenFace checkout, a release, or a folder that holds the same files."""

    def fetch(file: RemoteFile, path: Path, progress: Progress) -> None:
        found = next((place for place in _places(source, file.path) if place.is_file()), None)
        if found is None:
            raise ValueError(f"{source}: holds no {file.path}, expected a copy of OpenFace or of its models")
        with found.open("rb") as original, open_part(path, "wb") as copy:
            shutil.copyfileobj(original, copy)
        progress(file.size or 0)

    return fetch


def _places(source: Path, path: str) -> Iterator[Path]:
    """List places of a file of the repository: in a checkout, a release (``model/...``), a model folder."""
    parts = PurePosixPath(path).parts
    for cut in range(len(parts)):
        yield source.joinpath(*parts[cut:])
    if len(parts) == 1:  # beside the folder, as the licence is
        yield from (parent / path for parent in source.resolve().parents[:4])


def open_part(path: Path, mode: str) -> BinaryIO:
    """Open an unfinished file for writing; a link is refused."""

    def without_links(name: str, flags: int) -> int:
        return os.open(name, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)

    return open(path, mode, opener=without_links)  # type: ignore[return-value]


def size_on_disk(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
