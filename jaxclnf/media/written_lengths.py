"""Where the pictures of a file should end, by the sizes in AVI, MP4, Matroska, WMV, FLV and MXF, and in TIFF.

An index that is missing behind the pictures does no harm, and is not missed.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

_SEGMENT, _CLUSTER = b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75"
_ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")


class WrongLengthError(ValueError):
    """A part of a file cannot be as long as it says."""


def riff(file: BinaryIO, size: int) -> Iterator[int]:
    """Find the ends of the RIFF chunks of an AVI; a large file has several, of 2 GB each."""
    while len(head := file.read(8)) == 8 and head[:4] == b"RIFF":
        length = int.from_bytes(head[4:], "little")
        if length in (0, 0xFFFFFFFF):  # written by a program that could not go back
            return
        yield file.tell() + length
        file.seek(length + length % 2, os.SEEK_CUR)


def boxes(file: BinaryIO, size: int) -> Iterator[int]:
    """Find the ends of the outermost boxes of an MP4 or QuickTime file."""
    while len(head := file.read(8)) == 8:
        length, header = int.from_bytes(head[:4], "big"), 8
        if length == 1:
            length, header = int.from_bytes(file.read(8), "big"), 16
        if length < header:  # 0: to the end of the file
            return
        yield file.tell() - header + length
        if length > size:  # beyond the file, and perhaps beyond any position
            return
        file.seek(length - header, os.SEEK_CUR)


def matroska(file: BinaryIO, size: int) -> Iterator[int]:
    """Ends of the header and of the clusters of a Matroska file, or of its segment where clusters may lack.

    A live recording's segment has no size. Raises `WrongLengthError` for a part that cannot be so long.
    """
    _, length = _element(file)
    yield file.tell() + (length or 0)
    if (length or 0) > size:  # beyond the file, and perhaps beyond any position
        return
    file.seek(length or 0, os.SEEK_CUR)
    identity, length = _element(file)
    if identity != _SEGMENT or length is None:
        return
    end = file.tell() + length
    while file.tell() < min(end, size):
        identity, length = _element(file)
        if length is None:
            return
        after = file.tell() + length
        if after > max(end, size):
            raise WrongLengthError
        if after <= size or identity == _CLUSTER:
            yield after
        if after > size:
            return
        file.seek(after)
    yield end  # whatever comes next is missing as a whole


def _element(file: BinaryIO) -> tuple[bytes, int | None]:
    """Read the name of an EBML element and the size of its content; None if it is unknown."""
    identity = file.read(1)
    identity += file.read(8 - identity[0].bit_length() if identity and identity[0] else 0)
    first = (file.read(1) or b"\xff")[0]
    length = 9 - first.bit_length()
    data = bytes([first & (0xFF >> length)]) + file.read(length - 1)
    value = int.from_bytes(data, "big")
    return identity, None if len(data) < length or value == (1 << 7 * length) - 1 else value


def asf(file: BinaryIO, size: int) -> Iterator[int]:
    """Find the end of the packets of a WMV or ASF file, which is unknown for a broadcast."""
    while len(head := file.read(24)) == 24:
        identity, length = head[:16], int.from_bytes(head[16:], "little")
        if identity == _ASF_DATA:
            yield file.tell() - 24 + length
            return
        content = file.read(length - 24) if 24 <= length < 1 << 24 else b""
        at = content.find(_ASF_FILE)
        if not content or (at >= 0 and content[at + 88 : at + 89] and content[at + 88] & 1):
            return


def flv(file: BinaryIO, size: int) -> Iterator[int]:
    """Find the ends of the tags of a Flash video, and of the whole file if it names its size."""
    file.seek(int.from_bytes(file.read(9)[5:], "big") + 4)
    while len(head := file.read(11)) == 11:
        length = int.from_bytes(head[1:4], "big")
        if head[0] == 18:  # what is said of the whole
            said, at = file.read(length).partition(b"\0\x08filesize\0")[2][:8], file.tell()
            yield int(_number(said))
            file.seek(at)
        else:
            file.seek(length, os.SEEK_CUR)
        yield file.tell()
        file.seek(4, os.SEEK_CUR)


def mxf(file: BinaryIO, size: int) -> Iterator[int]:
    """Find the beginning of an MXF file's footer, behind all pictures, and add one byte."""
    head = file.read(64)
    values = head[17 + (head[16] & 0x7F if head[16:17] >= b"\x80" else 0) :]
    yield int.from_bytes(values[24:32], "big") + 1


def tiff(file: BinaryIO, size: int) -> Iterator[int]:
    """Find the end of a TIFF's first directory, which many programs write behind the pixels."""
    head = file.read(8)
    order = "little" if head[:2] == b"II" else "big"
    at = int.from_bytes(head[4:], order)
    file.seek(at)
    yield at + 2 + 12 * int.from_bytes(file.read(2), order) + 4


def _number(data: bytes) -> float:
    value = struct.unpack(">d", data)[0] if len(data) == 8 else 0.0
    return value if 0 < value < 1e15 else 0.0
