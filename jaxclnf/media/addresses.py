"""Addresses (``s3://bucket/photo.jpg``), which runs on a cluster read and write, and runs here refuse."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

_SHORTENED = re.compile(r"\A[A-Za-z][\w+.-]+:/(?=[^/])")  # a scheme of two letters at least: c:/ is a drive


def is_address(text: str) -> bool:
    """Tell whether this is ``scheme://...`` and not a file on this machine."""
    scheme, between, _ = text.partition("://")
    return bool(between) and scheme.replace("+", "").isalnum() and scheme != "file"


def here(text: str) -> str:
    """Turn a ``file://`` address into a path; anything else stays as it is."""
    return unquote(urlsplit(text).path) if text.startswith("file://") else text


def as_written(path: str) -> str:
    """Give an address, of which `Path` has kept one slash, both again; anything else stays as it is."""
    return _SHORTENED.sub(lambda scheme: f"{scheme[0]}/", path)


def check_no_address(path: str | Path, use: str) -> None:
    """Raise ValueError for an address, also one that `Path` has shortened; only clusters ``use`` them."""
    text = str(path)
    if isinstance(path, Path) and not os.path.lexists(path.parts[0] if path.parts else path):
        text = as_written(text)
    if is_address(text):
        raise ValueError(
            f"{text} is an address, and only runs with --cluster {use} such; give a path of this machine"
        )
