"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

PART = ".jaxclnf-*.part"
"""Pattern of temporary names, which are short: a file's own name may have the greatest length."""
_under_way: set[Path] = set()


@contextmanager
def written_whole(path: Path, temporary: str = PART) -> Iterator[Path]:
    """Give a temporary name beside ``path``; at the end the file is moved to ``path``, or removed after an
    error.

    The name is new and random: no link that somebody planted is followed. ``temporary`` is its pattern:
    files of the usual one are removed when a run begins in their folder.
    """
    part = path.with_name(temporary.replace("*", uuid4().hex[:12]))
    _under_way.add(part)
    try:
        yield part
        os.replace(part, path)
    finally:
        _under_way.discard(part)
        part.unlink(missing_ok=True)


def remove_under_way() -> None:
    """Remove what this process has under temporary names, before it ends without leaving its contexts."""
    for part in tuple(_under_way):  # at one moment: other threads go on
        with suppress(OSError):
            part.unlink(missing_ok=True)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file under a temporary name and move it into place when it is whole."""
    with named(path), written_whole(path) as part, part.open("xb") as file:
        file.write(data)


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Name ``path`` in errors of writing that name no file, as of a disk that is full, or a temporary one."""
    try:
        yield
    except OSError as error:
        raise OSError(
            error.errno, error.strerror or str(error), str(path)
        ) from None  # polars names no number


def remove_parts(folder: Path) -> None:
    """Remove the temporary files that a killed run left."""
    for part in folder.glob(PART):
        part.unlink(missing_ok=True)
