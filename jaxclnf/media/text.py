"""Text files that people write: lists of files, tables of boxes; from Windows and spreadsheets, too."""

from __future__ import annotations

import codecs
import os
import re
from pathlib import Path

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_text(path: Path) -> str:
    """A file's text: UTF-8, or what its byte-order mark says; raises ValueError where it is none.

    Bytes that are no UTF-8 stay what they are in the names of files (as in `os.fsdecode`).
    """
    data = path.read_bytes()
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), None)
    try:
        text = data.decode(encoding) if encoding else os.fsdecode(data)
    except UnicodeDecodeError:
        raise ValueError("it is no UTF-8 text") from None
    if "\0" in text:
        raise ValueError("it is no UTF-8 text")
    return text


def read_lines(path: Path) -> list[str]:
    """The lines that hold something, without their ends."""
    return [line for line in re.split(r"\r?\n|\r", read_text(path)) if line.strip()]


def as_path(name: str, folder: Path) -> Path:
    r"""The file that a line names: as it stands, seen from here or ``folder``, or with ``\`` for ``/``."""
    names = (name, name.strip(), name.strip().replace("\\", "/"))
    places = [Path(base, each) for each in names for base in ("", folder)]
    return next((place for place in places if os.path.lexists(place)), Path(name))
