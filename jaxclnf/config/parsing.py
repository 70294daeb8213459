"""Settings read from text files and command lines: numbers, words, lists; angles in degrees."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxclnf.config.fields import FLAG
from jaxclnf.config.setting_names import COLUMNS, WHOLE, unknown


def from_plain(name: str, value: Any) -> Any:
    """Convert a setting's value in a file to one that `FitConfig.changed` takes."""
    field = _field(name)
    if field == "start_rotations":
        try:
            return np.radians(np.array(value, np.float32))
        except (TypeError, ValueError):
            raise ValueError(f"{name} = {value!r:.200}, expected lists of three angles in degrees") from None
    traced = field in WHOLE and field != "parts" and not WHOLE[field].metadata.get("static")
    return np.array(value, np.float32) if traced and isinstance(value, list) else value


def from_text(name: str, text: str) -> Any:
    """Convert a setting's text on the command line, with commas between values, likewise."""
    field = _field(name)
    if field == "parts":
        return text.split(",") if text else []
    if _is_word(field):
        return text
    if _is_flag(field):
        return {"true": True, "false": False}.get(text.lower(), text)
    if not text and field in ("keep", "between_views", "scales"):
        return []
    try:
        values = [_number(part) for part in text.split(",")]
    except ValueError:
        given = repr(text) if text else "nothing"
        raise ValueError(f"expected numbers, separated by commas; got {given}") from None
    if field == "start_rotations":
        if len(values) % 3:
            raise ValueError("expected angles x, y, z in degrees, three for each start")
        return from_plain(name, [values[i : i + 3] for i in range(0, len(values), 3)])
    return from_plain(name, values if len(values) > 1 else values[0])


def _field(name: str) -> str:
    """The setting that a name means, without its part and stage."""
    own = name.split(".", 2)[-1] if name.startswith("parts.") else name
    head = own.partition(".")[0]
    if head not in COLUMNS and head not in WHOLE:
        raise unknown(name)
    return head


def _is_word(field: str) -> bool:
    default = (COLUMNS.get(field) or WHOLE[field]).default
    return isinstance(default, str)


def _is_flag(field: str) -> bool:
    """Whether a setting is true or false; stages that look between views are named by their numbers."""
    rule = (COLUMNS.get(field) or WHOLE[field]).metadata.get("rule")
    return rule is FLAG and field != "between_views"


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)
