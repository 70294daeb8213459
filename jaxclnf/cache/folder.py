"""The cache folder: entries under names, whole or not at all, in a place that is the user's alone.

Entries are unpickled, and programs in them are run, so whoever can write them can do whatever the user can.
A folder or a file that belongs to another user, or that others may write to, is never read.
"""

from __future__ import annotations

import mmap
import os
import stat
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from jaxclnf.cache.entry import packed, unpacked

VARIABLE = "JAXCLNF_CACHE_DIR"
"""The environment variable that names another place; empty or ``off``: nothing is kept."""

MOST_BYTES = 2**29
"""Bytes that all entries may take together; those not used for longest are removed first."""

_PART = ".part"
_STALE = 3600  # seconds after which an unfinished file is nobody's
_said: set[Path] = set()


def place() -> Path | None:
    """Folder of the entries, whether it is there or not; None where nothing is to be kept."""
    named = os.environ.get(VARIABLE)
    if named is not None:
        return None if named in ("", "off") else Path(named).expanduser()
    try:
        from platformdirs import user_cache_path
    except ImportError:  # where arrays alone are fitted
        return None
    return user_cache_path("jaxclnf")


def kept_in() -> Path | None:
    """The folder, made if it is missing; None where there is none, or none that can be trusted."""
    folder = place()
    if folder is None or folder in _said:
        return None
    with suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if reason := refusal(folder):
        _said.add(folder)
        warnings.warn(reason, RuntimeWarning, stacklevel=2)
        return None
    return folder if folder.is_dir() else None


def refusal(folder: Path) -> str:
    """Say why a folder that is there cannot be trusted; empty if it can, or is not there."""
    try:
        status = os.stat(folder)
    except OSError:
        return ""
    if _ours(status):
        return ""
    return (
        f"{folder} belongs to another user or can be written by others, so nothing is kept in it: "
        f"`chmod go-w` it, or name a folder of your own in {VARIABLE}"
    )


def read(name: str) -> list[memoryview] | None:
    """The parts of an entry, read-only and 64 bytes aligned; None where there is none that is whole."""
    folder = kept_in()
    if folder is None:
        return None
    try:
        with _opened(folder / name) as file:
            content = memoryview(mmap.mmap(file, 0, access=mmap.ACCESS_READ))
            with suppress(OSError):
                os.utime(folder / name)
        return unpacked(content)
    except (OSError, ValueError):
        return None


def write(name: str, parts: Sequence[bytes | memoryview]) -> None:
    """Keep an entry; where that cannot be done, nothing is kept."""
    folder = kept_in()
    if folder is None:
        return
    unfinished = folder / f"{name}.{uuid4().hex[:12]}{_PART}"
    with suppress(OSError):
        try:
            with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.writelines(packed(parts))
            os.replace(unfinished, folder / name)
        finally:
            unfinished.unlink(missing_ok=True)
        shrink(folder, MOST_BYTES)


def shrink(folder: Path, most: int) -> None:
    """Remove the files of a folder that were not used for longest, until all take at most ``most`` bytes."""
    files = sorted(_files(folder), key=lambda file: -file[1].st_mtime)
    total = 0
    for path, status in files:
        total += status.st_size
        if total > most:
            with suppress(OSError):
                path.unlink()


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """The folder's files; one that is being written counts only once its writer must have died."""
    newest = 0.0
    found = []
    for path in folder.iterdir():
        with suppress(OSError):
            status = path.lstat()
            if stat.S_ISREG(status.st_mode):
                found.append((path, status))
                newest = max(newest, status.st_mtime)
    for path, status in found:
        if path.suffix != _PART:
            yield path, status
        elif newest - status.st_mtime > _STALE:
            with suppress(OSError):
                path.unlink()


def subfolder(name: str) -> Path | None:
    """A folder in the cache folder for what others keep, bounded as the folder is."""
    folder = kept_in()
    if folder is None:
        return None
    path = folder / name
    with suppress(OSError):
        path.mkdir(mode=0o700, exist_ok=True)
        shrink(path, MOST_BYTES)
    return path if path.is_dir() and not refusal(path) else None


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """A file that is the user's own, for reading; raises OSError for any other, and for links."""
    file = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode) or not _ours(status):
            raise PermissionError(f"{path} can be written by others")
        yield file
    finally:
        os.close(file)


def _ours(status: os.stat_result) -> bool:
    """Whether the user or the administrator alone can write; Windows keeps users apart by itself."""
    if not hasattr(os, "geteuid"):
        return True
    return status.st_uid in (0, os.geteuid()) and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
