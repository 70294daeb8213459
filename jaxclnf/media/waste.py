"""Files that systems leave on disks beside those of people, and folders of what people have deleted."""

from __future__ import annotations

_NAMES = (".ds_store", "thumbs.db", "desktop.ini", "__macosx", "$recycle.bin", "@eadir", ".thumbnails")
_BEGINNINGS = ("._", ".trash")  # of macOS's second file of each file; of rubbish bins


def is_waste(name: str) -> bool:
    """Tell by its name that a file or folder is none that a search should give."""
    name = name.lower()
    return name in _NAMES or name.startswith(_BEGINNINGS)
