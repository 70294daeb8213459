"""A photo that everybody has: the portrait of Rear Admiral Grace Hopper that comes with matplotlib."""

from __future__ import annotations

from pathlib import Path


def portrait_file() -> Path:
    """Find the portrait's file."""
    from matplotlib import cbook

    return Path(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))
