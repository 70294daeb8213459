"""An entry of the cache in a file: its parts and a checksum; arrays can be used where they lie."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence

_MARK = b"jaxclnf entry 1\n"
_HEAD = struct.Struct("<16sIIQ")  # mark, checksum of all that follows, how many parts, bytes in all
_ALIGNED = 64  # bytes: what JAX asks of arrays that it does not copy


def packed(parts: Sequence[bytes | memoryview]) -> Iterator[bytes | memoryview]:
    """What a file of these parts holds, piece by piece."""
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


def unpacked(content: memoryview) -> list[memoryview]:
    """The parts in a file's content; raises ValueError if a byte of it is not as it was written."""
    if len(content) < _HEAD.size:
        raise ValueError("an entry that is cut short")
    mark, checksum, n_parts, size = _HEAD.unpack_from(content)
    if mark != _MARK or size != len(content) or zlib.crc32(content[_HEAD.size :]) != checksum:
        raise ValueError("an entry that is damaged, or none of ours")
    lengths = struct.unpack_from(f"<{n_parts}Q", content, _HEAD.size)
    parts, at = [], _HEAD.size + 8 * n_parts
    for length in lengths:
        at += -at % _ALIGNED
        parts.append(content[at : at + length])
        at += length
    return parts
