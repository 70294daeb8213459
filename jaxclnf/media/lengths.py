"""Whether a video file is as long as it says: AVI, MP4 and Matroska are chunks that name their sizes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def missing_bytes(path: Path) -> int:
    """The bytes by which the last chunk reaches beyond the file's end; 0 where none does or nobody knows."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(12)
        file.seek(0)
        if start[:4] == b"RIFF":
            ends = _riff(file)
        elif start[:4] == _EBML:
            ends = _matroska(file)
        elif start[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
            ends = _boxes(file)
        else:
            return 0
        return max(0, max(ends, default=0) - size)


def _riff(file: BinaryIO) -> Iterator[int]:
    """Ends of the RIFF chunks of an AVI; those of 2 GB follow each other."""
    while len(head := file.read(8)) == 8 and head[:4] == b"RIFF":
        size = int.from_bytes(head[4:], "little")
        if size in (0, 0xFFFFFFFF):  # written by a program that could not go back
            return
        yield file.tell() + size
        file.seek(size + size % 2, os.SEEK_CUR)


def _boxes(file: BinaryIO) -> Iterator[int]:
    """Ends of the outermost boxes of an MP4 or QuickTime file."""
    while len(head := file.read(8)) == 8:
        size, header = int.from_bytes(head[:4], "big"), 8
        if size == 1:
            size, header = int.from_bytes(file.read(8), "big"), 16
        if size < header:  # 0: to the end of the file
            return
        yield file.tell() - header + size
        file.seek(size - header, os.SEEK_CUR)


def _matroska(file: BinaryIO) -> Iterator[int]:
    """Ends of the header and of the segment of a Matroska file; a live recording's segment has no size."""
    for identity in (_EBML, _SEGMENT):
        if file.read(4) != identity:
            return
        first = file.read(1)[0]
        length = 9 - first.bit_length()
        data = bytes([first & (0xFF >> length)]) + file.read(length - 1)
        size = int.from_bytes(data, "big")
        if size == (1 << 7 * length) - 1:
            return
        yield file.tell() + size
        file.seek(size, os.SEEK_CUR)
