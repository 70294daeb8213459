"""Detection of videos and pictures that were cut short, from their bytes alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from jaxclnf.media import written_lengths

_LAST = 1 << 18  # bytes at the end of a file in which its last packet begins
_MXF = bytes.fromhex("060e2b34020501010d0102010102")
_IN_A_PACKET = "the file ends inside a packet"
WRONG_LENGTH = "the length that one of its parts says is wrong"


def cut_short(path: Path) -> str | None:
    """Say what is missing at the end of a file; None if nothing is, or if that cannot be told.

    Where a damaged length hides the end, it is `WRONG_LENGTH`. Streams of packets (MPEG-TS, MPEG-PS, Ogg)
    only tell when they end inside a packet; raw streams (H.264, Y4M) never do.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(1024)
        file.seek(0)
        return _by_kind(file, start, size)


def _by_kind(file: BinaryIO, start: bytes, size: int) -> str | None:
    if start[:4] == b"RIFF":
        return _missing(written_lengths.riff, file, size)
    if start[:4] == b"\x1a\x45\xdf\xa3":
        return _missing(written_lengths.matroska, file, size)
    if start[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return _missing(written_lengths.boxes, file, size)
    if start[:4] == b"\x30\x26\xb2\x75":
        return _missing(written_lengths.asf, file, size)
    if start[:3] == b"FLV":
        return _missing(written_lengths.flv, file, size)
    if start[:14] == _MXF:
        return _missing(written_lengths.mxf, file, size)
    if start[:4] in (b"II*\0", b"MM\0*"):
        lacks = _missing(written_lengths.tiff, file, size)
        return "the file is cut short: the list of its pictures is missing" if lacks else None
    if start[:4] == b"OggS":
        return _ogg(_end_of(file, size))
    if start[:4] == b"\0\0\x01\xba":
        return _program_stream(_end_of(file, size))
    return _transport_stream(start, size)


def _missing(ends: Callable, file: BinaryIO, size: int) -> str | None:
    try:
        lacking = max(ends(file, size), default=0) - size
    except written_lengths.WrongLengthError:
        return WRONG_LENGTH
    return f"the file lacks its last {lacking:,} bytes" if lacking > 0 else None


def _end_of(file: BinaryIO, size: int) -> bytes:
    file.seek(max(0, size - _LAST))
    return file.read()


def _ogg(end: bytes) -> str | None:
    """The last page says that it is the last, and how long its segments are."""
    at = end.rfind(b"OggS")
    page = end[max(at, 0) :]
    if at < 0 or len(page) < 27 or len(page) < 27 + page[26] + sum(page[27 : 27 + page[26]]):
        return _IN_A_PACKET
    return None if page[5] & 4 else "the last page of its stream is missing"


def _program_stream(end: bytes) -> str | None:
    """No picture holds the bytes 0, 0, 1 with which packets begin, and a number of theirs behind them."""
    at = len(end)
    while (at := end.rfind(b"\0\0\x01", 0, at)) >= 0:
        kind, length = end[at + 3 : at + 4], end[at + 4 : at + 6]
        if kind >= b"\xb9":
            is_packet = kind >= b"\xbb"
            cut = len(length) < 2 or at + 6 + int.from_bytes(length, "big") > len(end)
            return _IN_A_PACKET if is_packet and cut else None
    return None


def _transport_stream(start: bytes, size: int) -> str | None:
    """Packets of 188 bytes that begin with a G, of camcorders behind four bytes of time."""
    for length, before in ((188, 0), (192, 4), (204, 0)):
        marks = start[before::length]
        if len(marks) >= 3 and set(marks) == {ord("G")}:
            return _IN_A_PACKET if size % length else None
    return None
