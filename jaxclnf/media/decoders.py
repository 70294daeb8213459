"""The decoder of a picture, chosen by its first bytes, whatever the file is called."""

from __future__ import annotations

import struct
from typing import IO

from PIL import Image

from jaxclnf.media.deep_photos import DeepTiff

# Pillow's decoders that may be used, whatever a file is called. Others start programs (EPS: Ghostscript).
_FORMATS = ("JPEG", "PNG", "BMP", "DIB", "GIF", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF")
_OTHERWISE = (SyntaxError, IndexError, TypeError, KeyError, EOFError, struct.error)  # not of this format
_HEIC = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis")
_HEIC_OR_AVIF = (b"mif1", b"msf1")
_LONGEST_LIST = 1024  # bytes of brands that are looked at


def picture_in(file: IO[bytes]) -> Image.Image | None:
    """Do as `PIL.Image.open` does, with our own choice of decoders and limit of size."""
    start = file.read(16)
    if not start:
        return None
    if _is_heic(file, start):
        return _heic(file)
    for load in (Image.preinit, Image.init):  # the usual decoders, then all, which takes longer
        load()
        image = _decoded(file, start)
        if image is not None:
            return image
    return _deep_alone(file, start)


def _decoded(file: IO[bytes], start: bytes) -> Image.Image | None:
    """Open a picture with the decoders that are loaded."""
    for name in _FORMATS:
        factory, accept = Image.OPEN.get(name, (None, None))
        try:
            if factory is not None and (accept is None or accept(start) is True):
                file.seek(0)
                return factory(file, "")
        except _OTHERWISE:
            pass
    return None


def _is_heic(file: IO[bytes], start: bytes) -> bool:
    """Tell whether a file is for pillow-heif: by its brand, or by its others where that leaves it open."""
    brand = start[8:12]
    if start[4:8] != b"ftyp" or brand not in _HEIC_OR_AVIF:
        return start[4:8] == b"ftyp" and brand in _HEIC
    others = file.read(max(0, min(int.from_bytes(start[:4], "big"), _LONGEST_LIST) - len(start)))
    return not any(others[i : i + 4] in (b"avif", b"avis") for i in range(0, len(others), 4))


def _heic(file: IO[bytes]) -> Image.Image:
    try:
        from pillow_heif import HeifImageFile
    except ImportError:
        raise ValueError("it is a HEIC photo, for which the package pillow-heif is needed") from None
    file.seek(0)
    return HeifImageFile(file)


def _deep_alone(file: IO[bytes], start: bytes) -> Image.Image | None:
    """Open TIFFs of kinds that Pillow does not know."""
    try:
        return DeepTiff(file) if start[:4] in (b"II*\0", b"MM\0*") else None
    except _OTHERWISE:
        return None
