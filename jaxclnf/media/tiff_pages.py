"""Pages of TIFFs, for decoders that know only the first, or not the kind of colours."""

from __future__ import annotations

import struct
from typing import NamedTuple

_SHORT = 3  # kind of a tag's value: 16 bits
_BEYOND = struct.error, OverflowError  # of what would lie behind the file's end


class _Layout(NamedTuple):
    """How numbers are written in a file, in the words of `struct`."""

    first: int  # where the place of the first page is written
    place: str
    n_tags: str
    tag: str  # its number, its value's kind and count, and behind them the value
    tag_size: int


def _layout(data: bytes | bytearray) -> _Layout:
    order = "<" if data[:2] == b"II" else ">"
    if struct.unpack_from(order + "H", data, 2)[0] == 43:  # BigTIFF
        return _Layout(8, order + "Q", order + "Q", order + "HHQ", 20)
    return _Layout(4, order + "I", order + "H", order + "HHI", 12)


def page_places(data: bytes | bytearray) -> list[int]:
    """Find where each page of a TIFF begins; one that would lie behind the file's end is the last."""
    layout, places = _layout(data), {}
    at = _number(layout.place, data, layout.first)
    while at and at not in places:  # pages may go round
        places[at] = None
        try:
            n = _number(layout.n_tags, data, at)
            at = _number(layout.place, data, _tags_at(layout, at) + n * layout.tag_size)
        except _BEYOND:
            break
    return list(places)


def page_tags(data: bytes | bytearray, place: int) -> dict[int, int]:
    """Read a page's tags that have one value, by their numbers; none of a page that is not whole."""
    layout, tags = _layout(data), {}
    at = _tags_at(layout, place)
    try:
        for _ in range(_number(layout.n_tags, data, place)):
            number, kind, n_values = struct.unpack_from(layout.tag, data, at)
            value = layout.place[0] + "H" if kind == _SHORT else layout.place
            if n_values == 1:
                tags[number] = _number(value, data, at + struct.calcsize(layout.tag))
            at += layout.tag_size
    except _BEYOND:
        return {}
    return tags


def begin_at(data: bytearray, place: int) -> None:
    """Make another page of a TIFF its first."""
    layout = _layout(data)
    struct.pack_into(layout.place, data, layout.first, place)


def _tags_at(layout: _Layout, place: int) -> int:
    return place + struct.calcsize(layout.n_tags)


def _number(kind: str, data: bytes | bytearray, at: int) -> int:
    return struct.unpack_from(kind, data, at)[0]
