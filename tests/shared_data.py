"""Where tests find OpenFace's models, the golden arrays and the photos, which are not part of the project."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


def shared(*parts: str) -> Path:
    """The path ``../shared/<parts>``; the calling test is skipped, saying why, when it is missing."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"needs {Path('../shared', *parts)}, which is not here", allow_module_level=True)
    return path


@cache
def _arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def golden(name: str, prefix: str = "") -> dict[str, np.ndarray]:
    """Arrays of ``../shared/golden/<name>.npz`` whose key starts with ``prefix``, which is cut off."""
    arrays = _arrays(shared("golden", f"{name}.npz"))
    return {key[len(prefix) :]: value for key, value in arrays.items() if key.startswith(prefix)}
