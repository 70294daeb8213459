"""Files as everything else than folders, pipes and devices: what may be read to its end."""

from __future__ import annotations

import stat
from pathlib import Path


def no_file(path: Path) -> str:
    """Say, after its name, that a path is not that of a regular file; empty if it is."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return "does not exist"
    except OSError as error:
        return f"cannot be reached: {error.strerror}"
    if stat.S_ISREG(mode):
        return ""
    return f"is not a file, but {'a folder' if stat.S_ISDIR(mode) else 'a pipe or a device'}"
