"""Photos from files: upright, 8 bits, three channels; one clear sentence for whatever cannot be read."""

from __future__ import annotations

import warnings
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

RGB = UInt8[np.ndarray, "height width 3"]
Grey = UInt8[np.ndarray, "height width"]

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".jp2")

# Pillow only warns of files that unpack to more pixels than `Image.MAX_IMAGE_PIXELS`; here they are refused.
warnings.simplefilter("error", Image.DecompressionBombWarning)


def read_photo(path: Path | str) -> RGB:
    """The photo in a file, turned upright by its EXIF orientation.

    16-bit photos keep their upper 8 bits, transparent ones are laid on white, of animations the first
    picture counts. Raises ValueError, naming the file, when it is missing, empty, broken, not a picture
    or larger than Pillow's limit for untrusted files (89 million pixels).
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path} {'is not a file' if path.exists() else 'does not exist'}; give a photo")
    try:
        with Image.open(path) as image:
            return np.array(_eight_bits(ImageOps.exif_transpose(image)))
    except UnidentifiedImageError:
        what = "is not a picture in a format that can be read" if path.stat().st_size else "is empty"
        raise ValueError(f"{path} {what}") from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise ValueError(f"{path} has more than {Image.MAX_IMAGE_PIXELS} pixels; shrink it first") from None
    except Exception as error:  # decoders raise anything on broken data: SyntaxError, struct.error, ...
        raise ValueError(f"{path} cannot be read: {error}") from None


def _eight_bits(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers; save it with 8 or 16 bits a channel")
    if image.mode.startswith("I"):  # 16 bits, in Pillow's modes I;16, I;16B and (from PGM) I
        return Image.fromarray((np.asarray(image) // 257).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def to_grey(rgb: RGB) -> Grey:
    """Luma as OpenCV computes it, which the models were trained on."""
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
