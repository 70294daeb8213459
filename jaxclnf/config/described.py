"""Settings written as JSON and read again, also from model files older than `Stage`."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from jaxclnf.config.setting_names import COLUMNS, Config, changed
from jaxclnf.config.settings import FitFields, Stage

_BEFORE: dict[str, Any] = {"between_views": [], "parts": {}}
"""Values of settings that model files leave out because they are older than the settings."""


def description(config: FitFields) -> dict[str, Any]:
    """Describe settings in JSON's types; parts are named only if there are any."""
    own = (f.name for f in fields(config) if f.name not in ("stages", "parts"))
    told = {name: _plain(getattr(config, name)) for name in own}
    stages = [{f.name: _plain(getattr(stage, f.name)) for f in fields(stage)} for stage in config.stages]
    parts = {name: description(part) for name, part in config.parts.items()}
    return {"stages": stages, **told, **({"parts": parts} if parts else {})}


def from_description(cls: type[Config], told: dict[str, Any]) -> Config:
    """Read settings that `description` wrote; a setting that is not named has its default.

    Raises ValueError for values that no setting can have.
    """
    if not told:
        return cls()
    parts: Any = {str(name): from_description(cls, part) for name, part in told.get("parts", {}).items()}
    if "windows" in told:
        return _from_columns(cls, {**_BEFORE, **told}, parts)
    stages = tuple(Stage(**_known(Stage, stage)) for stage in told["stages"])
    return cls(stages=stages, parts=parts, **_known(cls, told))


def _from_columns(cls: type[Config], told: dict[str, Any], parts: Any) -> Config:
    """Read settings of model files whose stages were columns: a window each, a sigma each."""
    keep = told.get("keep")
    if keep:
        told = told | {"keep": [None, *keep[1:]]}  # before the first stage it had no effect
    by_name = {name: told[name] for name in COLUMNS if name in told}
    return changed(cls(**_known(cls, told), parts=parts), by_name)


def _known(cls: type, told: dict[str, Any]) -> dict[str, Any]:
    """The values for a class's own settings, as numpy arrays where they are arrays."""
    names = {f.name: f for f in fields(cls) if f.name not in ("stages", "parts")}
    return {
        name: value if names[name].metadata.get("static") else np.asarray(value, np.float32)
        for name, value in told.items()
        if name in names
    }


def _plain(value: Any) -> Any:
    return None if value is None else np.asarray(value).tolist()
