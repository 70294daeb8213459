"""Files that appear whole or not at all, and the cells of CSV files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

PART = ".jaxclnf-*.part"
"""Suffix of temporary names, which are short: a file's own name may have the greatest length."""

_SPECIAL = re.compile('[",\r\n]')


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give a temporary name beside ``path``; at the end the file is moved to ``path``, or removed after an
    error.

    The name is new and random: no link that somebody planted is followed.
    """
    part = path.with_name(PART.replace("*", uuid4().hex[:12]))
    try:
        yield part
        os.replace(part, path)
    finally:
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
        raise OSError(error.errno, error.strerror, str(path)) from None


def remove_parts(folder: Path) -> None:
    """Remove the temporary files that a killed run left."""
    for part in folder.glob(PART):
        part.unlink(missing_ok=True)


def path_cell(text: str) -> str:
    r"""Make a path, or a sentence that begins with one, safe for a table.

    Bytes that are not UTF-8 become ``\xNN``. What a spreadsheet would take for a formula (it begins with
    ``=``, ``+``, ``-``, ``@``, a tab or a line end) gets ``./`` in front, which is the same path.
    """
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return f"./{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else text


def csv_text(rows: Iterable[Sequence[str]]) -> str:
    r"""Rows as CSV (RFC 4180 but for ``\n`` at the end of lines).

    Python's writer, before 3.13, leaves a ``\r`` unquoted, which ends the row for every reader.
    """
    return "".join(",".join(map(_quoted, row)) + "\n" for row in rows)


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if _SPECIAL.search(cell) else cell
