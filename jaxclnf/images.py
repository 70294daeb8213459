"""Earlier name of `jaxclnf.media.images`, kept for scripts."""

from jaxclnf.media.images import read_photo, to_grey

__all__ = ["read_photo", "to_grey"]
