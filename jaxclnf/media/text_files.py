"""Text files that people write: lists of files, tables of boxes; from Windows and spreadsheets, too."""

from __future__ import annotations

import codecs
import json
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

from jaxclnf.regular_files import no_file

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_text(path: Path) -> str:
    """Read a file's text: UTF-8, or the encoding of its byte-order mark.

    Bytes that are not UTF-8 are kept in names of files (as by `os.fsdecode`). Raises ValueError if it is not
    text, or no regular file: pipes and devices may have no end.
    """
    if problem := no_file(path):
        raise ValueError(f"it {problem}")
    data = path.read_bytes()
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), None)
    try:
        text = data.decode(encoding) if encoding else os.fsdecode(data)
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8 text") from None
    if "\0" in text:
        raise ValueError("it is not UTF-8 text")
    return text


def read_json(path: Path) -> Any:
    """Read a file of JSON; raises ValueError, whatever is wrong with it, as a name twice in one object."""
    try:
        return json.loads(read_text(path), object_pairs_hook=_without_doubles)
    except (OSError, RecursionError) as error:
        raise ValueError(str(error)) from None


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of its pairs, of which Python would drop the earlier ones of a name."""
    known = dict(pairs)
    if len(known) < len(pairs):
        double = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"{double!r:.60} is there twice; put all that belongs to it in one list")
    return known


def read_lines(path: Path) -> list[str]:
    """Read the lines that are not empty, without their ends."""
    return [line for line in re.split(r"\r?\n|\r", read_text(path)) if line.strip()]


def as_path(name: str, folder: Path) -> Path:
    r"""The file that a line names: as it stands, without quotes around it, or with ``\`` for ``/``.

    It is seen from here or from ``folder``.
    """
    bare = without_quotes(name.strip())
    names = dict.fromkeys((name, name.strip(), bare, bare.replace("\\", "/")))
    places = [Path(base, each) for each in names for base in ("", folder)]
    return next((place for place in places if os.path.lexists(place)), Path(bare))


def without_quotes(name: str) -> str:
    """Strip the quotes around a name, which Windows copies with a path."""
    is_quoted = len(name) > 2 and name[0] == name[-1] and name[0] in "\"'"
    return name[1:-1] if is_quoted else name
