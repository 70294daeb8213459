"""The cache folder: named entries, written whole or not at all, in a place that only the user can write.

Entries are unpickled, and programs in them are run, so whoever can write them can do whatever the user can.
A folder or a file that belongs to another user, or that others may write to, is never read.
"""

from __future__ import annotations

import mmap
import os
import re
import stat
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from jaxclnf.cache.entry import is_entry, packed, unpacked

VARIABLE = "JAXCLNF_CACHE_DIR"
"""The environment variable that names another folder; with ``off`` or an empty value nothing is kept."""

MOST_BYTES = 2**29
"""Limit in bytes of all entries together; the least recently used of a kind are removed first."""

MODEL = "model-"
"""How the names of models begin, large entries that leave at least half of the place to all others."""

_PART = ".part"
_PART_NAME = re.compile(r".+\.[0-9a-f]{12}\.part")
_STALE = 3600  # seconds after which an unfinished file is abandoned
_said: set[Path] = set()


def place() -> Path | None:
    """Name the folder of the entries, which may not exist yet; None if nothing is to be kept."""
    named = os.environ.get(VARIABLE)
    if named is not None:
        return None if named in ("", "off") else Path(named).expanduser()
    try:
        from platformdirs import user_cache_path
    except ImportError:  # in an environment that only fits arrays
        return None
    return user_cache_path("jaxclnf")


def kept_in() -> Path | None:
    """Return the folder, made if it is missing; None if there is none, or it cannot be trusted."""
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
    """Say why an existing folder cannot be trusted; empty if it can, or does not exist."""
    try:
        status = os.stat(folder)
    except OSError:
        return ""
    if not stat.S_ISDIR(status.st_mode):
        return f"{folder} is not a folder, so nothing is kept in it: name one in {VARIABLE}"
    if _ours(status):
        return ""
    return (
        f"{folder} belongs to another user or can be written by others, so nothing is kept in it: "
        f"`chmod go-w` it, or name a folder of your own in {VARIABLE}"
    )


def read(name: str) -> list[memoryview] | None:
    """Read an entry's parts, read-only and aligned to 64 bytes; None if there is no intact entry."""
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
    """Write an entry; if that fails, nothing is kept."""
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


def shrink(folder: Path, most: int, is_kept: Callable[[Path], bool] | None = None) -> None:
    """Remove the least recently used entries of a folder until the rest take at most ``most`` bytes.

    Large entries, such as models, never drive out the others, which take seconds to make anew and little
    place: the others may take up half of ``most``, and large ones whatever the others leave. Nothing else is
    removed, since a user may name any folder; ``is_kept`` tells what is kept there in the place of entries.
    """
    small, large = [], []
    for file in sorted(_files(folder, is_kept or is_entry), key=lambda file: -file[1].st_mtime):
        (large if file[0].name.startswith(MODEL) else small).append(file)
    left = most - _shrunk(small, most // 2 if large else most)
    _shrunk(large, left)


def _shrunk(files: list[tuple[Path, os.stat_result]], most: int) -> int:
    """Keep what fits into ``most`` bytes, the first files first, and remove the rest; returns bytes kept."""
    total = 0
    for path, status in files:
        if total + status.st_size <= most:
            total += status.st_size
            continue
        with suppress(OSError):
            path.unlink()
    return total


def _files(folder: Path, is_kept: Callable[[Path], bool]) -> Iterator[tuple[Path, os.stat_result]]:
    """What is kept in a folder, without what is being written; of that, what was abandoned is removed."""
    kept, parts = [], []
    for path in folder.iterdir():
        with suppress(OSError):
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode):
                continue
            if _PART_NAME.fullmatch(path.name):
                parts.append((path, status))
            elif is_kept(path):
                kept.append((path, status))
    newest = max((status.st_mtime for _, status in (*kept, *parts)), default=0.0)
    for path, status in parts:
        if newest - status.st_mtime > _STALE:
            with suppress(OSError):
                path.unlink()
    yield from kept


def subfolder(name: str) -> Path | None:
    """Return a folder in the cache folder for JAX's own cache, bounded as the cache folder is."""
    folder = kept_in()
    if folder is None:
        return None
    path = folder / name
    with suppress(OSError):
        path.mkdir(mode=0o700, exist_ok=True)
        shrink(path, MOST_BYTES, _is_of_jax)
    return path if path.is_dir() and not refusal(path) else None


def _is_of_jax(path: Path) -> bool:
    """Tell a file of JAX's own cache by its name."""
    return re.fullmatch(r".+-[0-9a-f]{32,}-(cache|atime)", path.name) is not None


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """Open the user's own file for reading; raises OSError for another user's file, and for links."""
    file = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode) or not _ours(status):
            raise PermissionError(f"{path} can be written by others")
        yield file
    finally:
        os.close(file)


def _ours(status: os.stat_result) -> bool:
    """Whether only the user or the administrator can write; on Windows folders are the user's anyway."""
    if not hasattr(os, "geteuid"):
        return True
    return status.st_uid in (0, os.geteuid()) and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
