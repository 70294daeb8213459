"""Pictures of 16 bits in files that neither Pillow nor OpenCV writes."""

from __future__ import annotations

import struct
import zlib

import numpy as np


def big_tiff(pages: list[np.ndarray]) -> bytes:
    """A BigTIFF of pages that are not compressed."""
    data = struct.pack("<2sHHHQ", b"II", 43, 8, 0, 0)
    written_at = 8  # the place of the next page
    for page in pages:
        pixels, place = len(data), len(data) + page.nbytes
        height, width, channels = page.shape
        bits = struct.unpack("<Q", struct.pack("<4H", 16, 16, 16, 0))[0]
        tags = {256: width, 257: height, 258: bits, 259: 1, 262: 2, 273: pixels, 277: channels}
        tags |= {278: height, 279: page.nbytes, 284: 1}
        data = data[:written_at] + struct.pack("<Q", place) + data[written_at + 8 :]
        data += page.astype("<u2").tobytes() + struct.pack("<Q", len(tags))
        for number, value in tags.items():
            kind, n = (3, 3) if number == 258 else (16, 1)
            data += struct.pack("<HHQQ", number, kind, n, value)
        written_at = len(data)
        data += bytes(8)
    return data


def animated_png(pages: list[np.ndarray]) -> bytes:
    """A PNG of pictures that follow each other after a tenth of a second."""
    height, width, _ = pages[0].shape
    data = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0))
    data += _chunk(b"acTL", struct.pack(">II", len(pages), 0))
    for i, page in enumerate(pages):
        number = max(0, 2 * i - 1)
        data += _chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, width, height, 0, 0, 1, 10, 0, 0))
        pixels = zlib.compress(b"".join(b"\0" + row.astype(">u2").tobytes() for row in page))
        data += _chunk(b"fdAT", struct.pack(">I", number + 1) + pixels) if i else _chunk(b"IDAT", pixels)
    return data + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
