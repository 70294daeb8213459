"""Comments of fields as their documentation, and names in docstrings as links, for the API reference."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import griffe

_NAME = re.compile(r"(?<!`)`(jaxclnf(?:\.\w+)+)`(?!`)")


class Comments(griffe.Extension):
    """Take the comment above a field or behind it for its docstring, where it has none."""

    def on_attribute_instance(self, *, attr: griffe.Attribute, **_: Any) -> None:
        path, line = attr.filepath, attr.lineno
        known = attr.docstring is None and isinstance(path, Path) and line is not None
        if known and (said := _comment(_lines(path), line)):
            attr.docstring = griffe.Docstring(said, parent=attr)

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = _NAME.sub(r"[`\1`][\1]", obj.docstring.value)


@cache
def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def _comment(source: list[str], line: int) -> str:
    """What a comment says of the field that begins at ``line``, counted from 1."""
    _, mark, behind = source[line - 1].partition("  # ")
    if mark and not behind.startswith(("noqa", "pyright")):
        return behind.strip()
    above: list[str] = []
    for text in reversed(source[: line - 1]):
        if not text.strip().startswith("# "):
            break
        above.insert(0, text.strip().removeprefix("# "))
    return " ".join(above)
