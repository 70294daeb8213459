"""The file format of a cache entry: its parts and a checksum; arrays can be used without a copy."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

_MARK = b"jaxclnf entry 1\n"
_HEAD = struct.Struct("<16sIIQ")  # mark, checksum of all that follows, how many parts, bytes in all
_ALIGNED = 64  # bytes; JAX uses arrays so aligned without copying them


def packed(parts: Sequence[bytes | memoryview]) -> Iterator[bytes | memoryview]:
    """Yield the content of an entry's file, piece by piece."""
    views = [memoryview(part).cast("B") for part in parts]
    table = struct.pack(f"<{len(views)}Q", *map(len, views))
    pieces: list[bytes | memoryview] = [table]
    at = _HEAD.size + len(table)
    for view in views:
        pieces += [bytes(-at % _ALIGNED), view]
        at += -at % _ALIGNED + len(view)
    checksum = 0
    for piece in pieces:
        checksum = zlib.crc32(piece, checksum)
    yield _HEAD.pack(_MARK, checksum, len(views), at)
    yield from pieces


def is_entry(path: Path) -> bool:
    """Tell a file that begins as an entry does, whatever its name; raises OSError if it cannot be read."""
    with path.open("rb") as file:
        return file.read(len(_MARK)) == _MARK


def unpacked(content: memoryview) -> list[memoryview]:
    """Split a file's content into its parts; raises ValueError if it is damaged."""
    if len(content) < _HEAD.size:
        raise ValueError("an entry that is cut short")
    mark, checksum, n_parts, size = _HEAD.unpack_from(content)
    if mark != _MARK or size != len(content) or zlib.crc32(content[_HEAD.size :]) != checksum:
        raise ValueError("an entry that is damaged, or was not written by jaxclnf")
    lengths = struct.unpack_from(f"<{n_parts}Q", content, _HEAD.size)
    parts, at = [], _HEAD.size + 8 * n_parts
    for length in lengths:
        at += -at % _ALIGNED
        parts.append(content[at : at + length])
        at += length
    return parts
