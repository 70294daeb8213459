"""OpenFace's models for those who accept its licence: fetched, checked, converted, kept for the user.

The files lie where other packages that use them look too: ``OpenFaceModels/2.2.0/originals/<path in
OpenFace's repository>`` in the user's data folder, or below ``$OPENFACE_MODELS_DIR`` in place of
``OpenFaceModels``. The converted models lie beside them in ``derived/jaxclnf``. What is fetched, from where,
of which size and SHA-256 says ``params/openface-2.2.0.json``; ``openface-2.2.0-cen.json`` adds the files of
CEN experts, which are used as they are, not converted. Downloads use requests alone: pooch cannot continue
one that broke off.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from queue import Empty, Full, Queue
from threading import Thread
from typing import Any, BinaryIO

from jaxclnf.models.storage import packaged, save_model

_ATTEMPTS = 3  # each goes on where the one before broke off
_CHUNK = 2**14  # bytes, which must come within twice the timeout; fewer are lost when a download breaks off
_MOST_OF_UNKNOWN = 2**16  # bytes of a file whose size is not known
_AHEAD = 64  # chunks that may wait to be written
_ORIGINALS, _VALIDATOR = "originals", "validator_cnn_68.txt"
_CONVERTED = "derived/jaxclnf/1"  # the number changes when a conversion's result does

Progress = Callable[[int], None]
"""Told how many more bytes are there."""


@dataclass(frozen=True)
class RemoteFile:
    """A file of OpenFace's repository, or one that lies at an address of its own and belongs there.

    Of those that the repository does not hold nobody published a SHA-256; sizes of short texts are unknown.
    """

    path: str
    size: int | None = None
    sha256: str | None = None
    url: str | None = None


@dataclass(frozen=True)
class Manifest:
    """What is installed and where it comes from."""

    openface_version: str
    base_url: str
    licence: str  # path of the licence's text
    models: dict[str, str]  # our names -> paths of the main files
    files: tuple[RemoteFile, ...]
    converted: bool = True  # else the models are OpenFace's own files

    @property
    def size(self) -> int:
        """Bytes of all files whose sizes are known."""
        return sum(file.size or 0 for file in self.files)

    def from_one_place(self) -> Manifest:
        """The manifest of a mirror, which has all files under one address."""
        return replace(self, files=tuple(replace(file, url=None) for file in self.files))


Fetch = Callable[[RemoteFile, Path, Progress], None]
"""Brings a file to a path, where the beginning of it may be already."""


def read_manifest() -> Manifest:
    """The manifest of OpenFace 2.2.0's CCNF models."""
    values = json.loads(packaged("openface-2.2.0.json").read_text(encoding="utf-8"))
    return Manifest(**values | {"files": _files(values)})


def read_cen_manifest() -> Manifest:
    """The manifest of OpenFace 2.2.0's CEN model, whose PDM and eyes are those of the CCNF models."""
    values = json.loads(packaged("openface-2.2.0-cen.json").read_text(encoding="utf-8"))
    base = read_manifest()
    return replace(base, models=values["models"], files=base.files + _files(values), converted=False)


def _files(values: dict[str, Any]) -> tuple[RemoteFile, ...]:
    return tuple(RemoteFile(**file) for file in values["files"])


def openface_folder(manifest: Manifest) -> Path:
    """Folder of OpenFace's files of this version."""
    import platformdirs

    chosen = os.environ.get("OPENFACE_MODELS_DIR", "").strip()
    base = Path(chosen).expanduser() if chosen else platformdirs.user_data_path("OpenFaceModels", False)
    return base / manifest.openface_version


def installed(manifest: Manifest) -> dict[str, Path]:
    """The models that are there, by name: converted ones, or OpenFace's main files."""
    originals = openface_folder(manifest) / _ORIGINALS
    if not manifest.converted:
        whole = all((originals / file.path).is_file() for file in manifest.files)
        return {name: originals / path for name, path in manifest.models.items() if whole}
    paths = {name: openface_folder(manifest) / _CONVERTED / f"{name}.npz" for name in manifest.models}
    return {name: path for name, path in paths.items() if path.is_file()}


def installed_validator() -> Path:
    """OpenFace 2's validator among the installed files; raises ValueError where it is not there."""
    manifest = read_manifest()
    (file,) = (file for file in manifest.files if file.path.endswith(_VALIDATOR))
    path = openface_folder(manifest) / _ORIGINALS / file.path
    if not path.is_file():
        raise ValueError("OpenFace's validator is not installed: install it with `jaxclnf models install`")
    return path


def licence_text(manifest: Manifest, fetch: Fetch) -> str:
    """The licence, as it comes with the files."""
    (file,) = (file for file in manifest.files if file.path == manifest.licence)
    return _obtain(manifest, file, fetch, lambda n: None).read_text(encoding="utf-8", errors="replace")


def install(manifest: Manifest, fetch: Fetch, progress: Progress = lambda n: None) -> dict[str, Path]:
    """Fetch what is missing, check everything, convert models; returns the models' files by name.

    Raises ValueError or OSError if a file cannot be had, or is not the one that the manifest describes;
    what has been fetched is kept, and the next call goes on from there.
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


def obtain(place: Path, file: RemoteFile, fetch: Fetch, progress: Progress) -> Path:
    """A file in the user's folder, fetched unless it is there already."""
    path = place / PurePosixPath(file.path)
    if not _unlike(path, file):
        progress(file.size or 0)
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.part")
    if unfinished.is_symlink() or (unfinished.is_file() and unfinished.stat().st_nlink > 1):
        unfinished.unlink()  # someone's link, through which another file would be written
    fetch(file, unfinished, progress)
    if unlike := _unlike(unfinished, file):
        unfinished.unlink()
        raise ValueError(f"{file.path}: {unlike}; it was not kept")
    unfinished.replace(path)
    return path


def _unlike(path: Path, file: RemoteFile) -> str:
    """What tells a file from the one that is described; nothing if it is the one."""
    if not path.is_file():
        return "it did not come"
    if file.size is not None and _size(path) != file.size:
        return f"it has {_size(path)} bytes, expected {file.size}"
    with path.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest() if file.sha256 else None
    return f"its SHA-256 is {found}, expected {file.sha256}" if found != file.sha256 else ""


def _open_part(path: Path, mode: str) -> BinaryIO:
    """An unfinished file to write to, itself and nothing that a link leads to."""

    def without_links(name: str, flags: int) -> int:
        return os.open(name, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)

    return open(path, mode, opener=without_links)  # type: ignore[return-value]


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def from_folder(source: Path) -> Fetch:
    """Copies files from an OpenFace checkout, a release, or a folder that holds the same files."""

    def fetch(file: RemoteFile, path: Path, progress: Progress) -> None:
        found = next((place for place in _places(source, file.path) if place.is_file()), None)
        if found is None:
            raise ValueError(f"{source}: holds no {file.path}, expected a copy of OpenFace or of its models")
        with found.open("rb") as original, _open_part(path, "wb") as copy:
            shutil.copyfileobj(original, copy)
        progress(file.size or 0)

    return fetch


def _places(source: Path, path: str) -> Iterator[Path]:
    """Places of a file of the repository: in a checkout, a release (``model/...``), a model folder."""
    parts = PurePosixPath(path).parts
    for cut in range(len(parts)):
        yield source.joinpath(*parts[cut:])
    if len(parts) == 1:  # beside the folder, as the licence is
        yield from (parent / path for parent in source.resolve().parents[:4])


def from_server(base_url: str, timeout: float = 30) -> Fetch:
    """Downloads files.

    A server that is silent for ``timeout`` seconds, or takes twice as long to begin or to send 16 kB, is
    tried anew, a few times.
    """

    def fetch(file: RemoteFile, path: Path, progress: Progress) -> None:
        url = file.url or f"{base_url.rstrip('/')}/{file.path}"
        if file.size is None or _size(path) > file.size:
            path.unlink(missing_ok=True)
        progress(_size(path))
        problem = None
        for _ in range(_ATTEMPTS):
            problem = _download(url, path, file.size, timeout, progress)
            if problem is None:
                return
        raise ValueError(f"{url}: {problem}; run the command again to go on from there")

    return fetch


class _Again(Exception):
    """What went wrong where another attempt may help."""


def _download(url: str, path: Path, size: int | None, timeout: float, progress: Progress) -> str | None:
    """Download what is missing of a file; says what went wrong where another attempt may help."""
    had, most = _size(path), _MOST_OF_UNKNOWN if size is None else size
    if had == size:
        return None
    pieces = _pieces(url, had, timeout)
    try:
        start = next(pieces)
        progress(start - had)
        had = start
        with _open_part(path, "ab" if had else "wb") as file:
            for piece in pieces:
                had += len(piece)
                if had > most:
                    raise ValueError(f"{url}: sends more than the expected {most} bytes")
                file.write(piece)
                progress(len(piece) if size else 0)
    except _Again as error:
        return str(error)
    return None if size in (None, had) else f"ended after {had} of {size} bytes"


def _pieces(url: str, had: int, timeout: float) -> Iterator:
    """Place in the file at which an answer begins, then its bytes, each soon after the one before.

    Another thread waits for them: a server that sends a byte now and then lets no read of a socket time out.
    """
    queue: Queue = Queue(_AHEAD)
    Thread(target=_receive, args=(url, had, timeout, queue), daemon=True).start()
    while True:
        try:
            piece = queue.get(timeout=2 * timeout)
        except Empty:
            raise _Again(f"the server sent less than {_CHUNK} bytes in {2 * timeout:g} s") from None
        if piece is None:
            return
        if isinstance(piece, Exception):
            raise piece
        yield piece


def _receive(url: str, had: int, timeout: float, queue: Queue) -> None:
    """Put what `_pieces` yields into a queue, then None or what went wrong; ends when nobody listens."""
    end: Exception | None = None
    try:
        for piece in _answer(url, had, timeout):
            queue.put(piece, timeout=timeout)
    except Full:
        return
    except Exception as error:  # it is raised where it can be handled
        end = error
    with suppress(Full):
        queue.put(end, timeout=timeout)


def _answer(url: str, had: int, timeout: float) -> Iterator[int | bytes]:
    """Place in the file at which a server's answer begins, then its bytes."""
    import requests

    # Without identity, the range would be one of compressed bytes.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={had}-"} if had else {})
    try:
        with requests.get(url, headers=headers, stream=True, timeout=timeout) as answer:
            said = f"the server answers {answer.status_code} {answer.reason}"
            if answer.status_code >= 500:
                raise _Again(said)
            if answer.status_code not in (200, 206):
                raise ValueError(f"{url}: {said}")
            yield had if answer.status_code == 206 else 0
            yield from answer.iter_content(_CHUNK)
    except requests.RequestException as error:
        reason = f"no connection, or it broke off or was silent for {timeout:g} s ({type(error).__name__})"
        raise _Again(reason) from None
