"""Reading photos: upright, 8 bits, three channels; one clear sentence for those that cannot be read."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from jaxclnf.media.decoders import picture_in
from jaxclnf.media.deep_photos import DeepTiff, deep_pixels, eight_bits
from jaxclnf.media.truncation import cut_short
from jaxclnf.regular_files import no_file

RGB = UInt8[np.ndarray, "height width 3"]
Grey = UInt8[np.ndarray, "height width"]

# By the first letters: what many cameras, phones and scanners write.
SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".webp"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k", ".avif", ".heic", ".heif"),
)
MAX_PIXELS = 256_000_000
"""Pixels of the largest photo that is read; each takes up to 8 bytes for a moment, then 3."""

_ORIENTATION = 0x0112  # in EXIF
_KIND_OF_PAGE = 254  # in TIFFs: 1 is a smaller copy of another page
_STRIP = 4_000_000  # pixels that are converted at a time


def read_photo(path: Path | str) -> RGB:
    """Read the photo in a file, turned upright by its EXIF orientation.

    Photos of more than 8 bits are converted to 8 by the range of values that they use
    (`jaxclnf.media.deep_photos.eight_bits`), transparent ones are laid on white, and animations give their
    first picture. Raises ValueError, naming the file, when it is missing, empty, broken, not a picture or
    larger than `MAX_PIXELS`.
    """
    return read_first(path).rgb


class First(NamedTuple):
    """The first picture in a file, and whether it holds others: pages, or pictures of an animation."""

    rgb: RGB
    has_more: bool


def read_first(path: Path | str) -> First:
    """Read the first picture in a file, as `read_photo` does, and look for others."""
    with open_picture(path) as image:
        return First(picture_pixels(image), _has_more(image))


def _has_more(image: Image.Image) -> bool:
    """Tell whether another picture follows, which is no smaller copy of the first."""
    if image.format in ("JPEG", "MPO") or not getattr(image, "is_animated", False):
        return False  # phones' JPEGs hold previews
    try:
        image.seek(1)
    except Exception:  # whatever a decoder raises: the first picture was read
        return False
    if isinstance(image, DeepTiff):
        return not image.is_smaller_copy
    return not getattr(image, "tag_v2", {}).get(_KIND_OF_PAGE, 0) & 1


def n_pixels(path: Path | str) -> float:
    """Read the number of pixels from a photo's header; 0 if it cannot be read."""
    try:
        with open_picture(path) as image:
            return float(image.width * image.height)
    except ValueError:
        return 0.0


@contextmanager
def open_picture(path: Path | str) -> Iterator[Image.Image]:
    """Open a picture and read its header; any error within becomes a sentence that names the file."""
    path = Path(path)
    if no_file(path):
        raise ValueError(no_photo(path))
    try:
        with path.open("rb") as file:
            image = picture_in(file)
            if image is None:
                raise _Plain(f"{path} {_what_it_is_not(path)}")
            if image.width * image.height > MAX_PIXELS:
                raise _Plain(
                    f"{path} has {image.width} x {image.height} pixels, more than {MAX_PIXELS:,}; shrink it"
                )
            with image:
                yield image
    except _Plain as error:
        raise ValueError(str(error)) from None
    except Exception as error:  # decoders raise any error on broken data: SyntaxError, struct.error, ...
        # the system's own has the path in it; decoders call files broken that are cut short
        said = getattr(error, "strerror", None) or _cut_short(path) or error
        raise ValueError(f"{path} cannot be read: {said}") from None


def _what_it_is_not(path: Path) -> str:
    if not path.stat().st_size:
        return "is empty"
    if said := _cut_short(path):
        return f"cannot be read: {said}"
    kind = mimetypes.guess_type(path.name)[0] or ""
    follow = "; videos are for `jaxclnf track`" if kind.startswith("video/") else ""
    return f"is not a picture in a format that can be read{follow}"


def _cut_short(path: Path) -> str | None:
    """Say that a file was cut short, if its bytes tell that."""
    try:
        return cut_short(path)
    except (OSError, ValueError, OverflowError):  # sizes beyond any position
        return None


def no_photo(path: Path) -> str:
    """Say that a path is not that of a file."""
    return f"{path} {no_file(path)}; give a photo"


class _Plain(Exception):
    """An error whose message is a complete sentence."""


def picture_pixels(image: Image.Image) -> RGB:
    """Read the pixels of an opened file's current picture.

    Pillow and OpenCV turn a TIFF upright themselves, and no other format.
    """
    deep_colour, file = _is_deep_colour(image), getattr(image, "fp", None)
    stored = image.getexif().get(_ORIENTATION, 1)  # which reads a PNG to its end
    deep = deep_pixels(file, image.tell()) if deep_colour and file is not None else None
    if deep is not None:
        return np.ascontiguousarray(_turned(eight_bits(deep), 1 if image.format == "TIFF" else stored))
    image.load()
    left = image.getexif().get(_ORIENTATION, 1)
    is_deep = image.mode in ("F", "I") or image.mode.startswith("I;")
    return np.ascontiguousarray(
        _turned(eight_bits(np.asarray(image)) if is_deep else _in_strips(image), left)
    )


def _is_deep_colour(image: Image.Image) -> bool:
    """Tell whether Pillow would keep only the upper 8 of 16 bits, or could not read what OpenCV can.

    Animations are left to Pillow, since OpenCV reads their first picture only.
    """
    if image.format != "TIFF" and getattr(image, "is_animated", False):
        return False
    tiles = getattr(image, "tile", ())
    is_deep = any(";16" in str(tile.args) for tile in tiles) and image.mode in ("RGB", "RGBA", "LA")
    return is_deep or isinstance(image, DeepTiff)


def _in_strips(image: Image.Image) -> RGB:
    """Convert pixels a few rows at a time, since Pillow's copies of a large photo would take gigabytes."""
    image.load()
    width, height = image.size
    pixels = np.empty((height, width, 3), np.uint8)
    rows = max(1, _STRIP // width)
    for top in range(0, height, rows):
        strip = image if rows >= height else image.crop((0, top, width, min(top + rows, height)))
        pixels[top : top + rows] = np.asarray(_on_white(strip))
    return pixels


def _on_white(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def _turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn pixels upright from one of EXIF's eight orientations."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


def to_grey(rgb: RGB) -> Grey:
    """Convert to grey as OpenCV does, with which the models were trained."""
    pixels = checked_pixels(rgb)
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) if pixels.ndim == 3 else pixels


def checked_pixels(photo: Any) -> UInt8[np.ndarray, "height width *channels"]:
    """Give a photo's pixels as an array; raises ValueError unless they are RGB or grey, of 8 bits."""
    if isinstance(photo, str | PathLike):
        raise ValueError(f"expected a photo's pixels; got a path: give jaxclnf.read_photo({str(photo)!r})")
    pixels = np.asarray(photo)
    if pixels.ndim not in (2, 3) or pixels.shape[2:] not in ((), (3,)) or 0 in pixels.shape:
        raise ValueError(f"expected a photo (height, width) or (height, width, 3); got {pixels.shape}")
    if pixels.dtype != np.uint8:
        raise ValueError(f"expected pixels of 8 bits, numpy.uint8 from 0 to 255; got {pixels.dtype}")
    return pixels
