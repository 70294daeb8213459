"""Photos of more than 8 bits a channel: scientific, thermal and raw cameras; scans."""

from __future__ import annotations

from typing import IO, NoReturn

import cv2
import numpy as np
from jaxtyping import Num, UInt8
from PIL import ImageFile

from jaxclnf.by_identity import ByIdentity
from jaxclnf.media.tiff_pages import begin_at, page_places, page_tags

_USED = (0.1, 99.9)  # percentiles of the values that are kept apart
_SAMPLES = 1 << 20
_OPAQUE = 65535
_KIND, _WIDTH, _HEIGHT = 254, 256, 257  # tags of TIFFs; an odd kind is a smaller copy of another page


class DeepTiff(ImageFile.ImageFile):
    """A TIFF that Pillow does not know: of colours of 32 bits, or floating-point ones.

    It has the pages and their sizes; `deep_pixels` reads them.
    """

    format = "TIFF"

    def _open(self) -> None:
        assert self.fp is not None
        self.fp.seek(0)
        data = self.fp.read()
        self._tags = [page_tags(data, place) for place in page_places(data)]
        self.n_frames, self.is_animated = len(self._tags), len(self._tags) > 1
        self.seek(0)

    def seek(self, frame: int) -> None:
        """Go to a page; raises ValueError if it is broken."""
        tags, self._page = self._tags[frame], frame
        if _WIDTH not in tags or _HEIGHT not in tags:
            self.load()
        self._mode, self._size = "RGB", (tags[_WIDTH], tags[_HEIGHT])
        self.is_smaller_copy = bool(tags.get(_KIND, 0) & 1)

    def tell(self) -> int:
        """Number of the page, from 0."""
        return self._page

    def load(self) -> NoReturn:
        """Say that the page has no pixels: those that can be read are not Pillow's."""
        raise ValueError(f"its page {self._page + 1} is broken, or of a kind that cannot be read")


def deep_pixels(file: IO[bytes], page: int = 0) -> Num[np.ndarray, "height width channels"] | None:
    """Read a picture's values as they are stored, grey, RGB or RGBA; None if OpenCV cannot read it.

    Pages of a TIFF are counted from 0; other pictures have one.
    """
    data = _beginning_at(file, page) if page else _whole(file)
    values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None:
        return None
    values = values if values.ndim == 3 else values[..., None]
    return values[..., [2, 1, 0, 3][: values.shape[2]]] if values.shape[2] >= 3 else values


def _whole(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


def _paged(file: IO[bytes]) -> tuple[bytearray, list[int]]:
    data = bytearray(_whole(file))
    return data, page_places(data)


_pages = ByIdentity(_paged)  # read once while the file is open, however many pages are asked for


def _beginning_at(file: IO[bytes], page: int) -> bytearray:
    """Give a TIFF with another page as the first: OpenCV would read the tags of all pages before it."""
    data, places = _pages(file)
    begin_at(data, places[page])
    return data


def eight_bits(values: Num[np.ndarray, "height width *channels"]) -> UInt8[np.ndarray, "height width 3"]:
    """Convert a picture to three channels of 8 bits.

    Values of 16 bits of which more than half the range is used keep their upper 8 bits. All others (10, 12
    and 14 bits in 16, whole numbers of 32 bits, floating-point numbers) are stretched: the range between the
    0.1th and the 99.9th percentile becomes 0..255. Values that are not finite are black; what is transparent,
    white.
    """
    values = values if values.ndim == 3 else values[..., None]
    colours = values[..., :3] if values.shape[2] >= 3 else values[..., :1]
    low, high = _used_range(colours)
    if colours.dtype == np.uint8:
        low, high = 0.0, 255.0
    elif high - low > _OPAQUE / 2 and colours.min() >= 0 and colours.max() <= _OPAQUE:
        low, high = 0.0, float(_OPAQUE)
    bits = np.empty((*colours.shape[:2], 3), np.uint8)
    for row in range(0, len(bits), 256):  # a few rows at a time: floating-point copies are large
        part = np.nan_to_num(colours[row : row + 256].astype(np.float64), nan=low, posinf=high, neginf=low)
        bits[row : row + 256] = np.clip(255 * (part - low) / max(high - low, 1e-30), 0, 255)
    if values.shape[2] == 4:
        clear = 1 - values[..., 3:] / (np.iinfo(values.dtype).max if values.dtype.kind in "iu" else 1)
        bits = (bits * (1 - clear) + 255 * clear).astype(np.uint8)
    return bits


def _used_range(colours: np.ndarray) -> tuple[float, float]:
    sample = colours.reshape(-1)[:: max(1, colours.size // _SAMPLES)].astype(np.float64)
    sample = sample[np.isfinite(sample)]
    low, high = np.percentile(sample, _USED) if sample.size else (0.0, 0.0)
    return float(low), float(high)
