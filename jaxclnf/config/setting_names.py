"""Settings by name, as `--set`, the tables of sweeps and `FitConfig.changed` write them.

tolerance               a setting of the fit
sigma                   of all stages: one value for all, or one for each
sigma.2                 of stage 2; stages count from 0
windows, scales         of all stages; more or fewer windows are more or fewer stages, 0 leaves one out
between_views           the numbers of the stages that look between views
parts                   the names of the parts that are fitted, of those that have settings
parts.inner.sigma.0     a setting of a part
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import Field, fields, replace
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxclnf.config.settings import FitFields, Stage

Config = TypeVar("Config", bound=FitFields)
WHOLE: dict[str, Field] = {f.name: f for f in fields(FitFields) if f.name != "stages"}
_USUAL = {"keep": None, "between_views": False}  # of stages for which nothing is said
_PLURAL = {"window": "windows", "scale": "scales"}
COLUMNS: dict[str, Field] = {_PLURAL.get(f.name, f.name): f for f in fields(Stage)}
NAMES = (*COLUMNS, *WHOLE)


def setting(config: FitFields, name: str) -> Any:
    """Look up a setting by name; one of stages has an entry for each: an array, or if static a tuple."""
    head, _, rest = name.partition(".")
    if head == "parts" and rest:
        part, _, own = rest.partition(".")
        return setting(config.parts[part], own)
    if head in WHOLE and not rest:
        return getattr(config, head)
    column = [getattr(stage, _column(name, head).name) for stage in config.stages]
    if rest:
        return column[_number(config.stages, name, rest)]
    if _column(name, head).metadata.get("static"):
        return tuple(column)
    return (jnp if any(isinstance(v, jax.Array) for v in column) else np).stack(column)


def is_static(name: str) -> bool:
    """Whether another value of a setting, or another number of start rotations, compiles anew.

    Raises ValueError for an unknown name.
    """
    if name.startswith("parts."):
        return is_static(name.split(".", 2)[-1])
    head = name.partition(".")[0]
    field = COLUMNS.get(head) or WHOLE.get(head)
    if field is None:
        raise unknown(name)
    return head in ("parts", "start_rotations") or bool(field.metadata.get("static"))


def changed(config: Config, changes: Mapping[str, Any]) -> Config:
    """Change settings by name, all at once; raises ValueError for unknown names and impossible values."""
    if not isinstance(changes, Mapping) or not all(isinstance(name, str) for name in changes):
        raise ValueError(f"changes = {changes!r:.200}, expected values by the names of settings")
    whole: dict[str, Any] = {}
    columns: dict[str, Any] = {}
    parts: dict[str, dict[str, Any]] = {}
    for name, value in changes.items():
        head, _, rest = name.partition(".")
        if head == "parts" and rest:
            part, _, own = rest.partition(".")
            parts.setdefault(part, {})[own] = value
        elif head in WHOLE and not rest:
            whole[head] = value
        else:
            _column(name, head)
            columns[name] = value
    if columns:
        whole["stages"] = _changed_stages(config.stages, columns)
    if parts or "parts" in whole:
        whole["parts"] = _changed_parts(config, whole.get("parts", config.parts), parts)
    return replace(config, **whole)


def _column(name: str, head: str) -> Field:
    if head not in COLUMNS:
        raise unknown(name)
    return COLUMNS[head]


def unknown(name: str) -> ValueError:
    """Make the error for a name that no setting has."""
    known = ", ".join(NAMES)
    return ValueError(f"{name!r} is not a setting; settings are {known}; docs/settings.md says what each is")


def _number(stages: Sequence[Stage], name: str, text: str) -> int:
    if not text.isdecimal() or int(text) >= len(stages):
        raise ValueError(f"{name!r}: expected the number of one of {len(stages)} stages, counted from 0")
    return int(text)


def part_names(parts: Any) -> list[str]:
    """List names of parts; raises ValueError for a single word, whose letters are no names, or no names."""
    names = None if isinstance(parts, str) or not isinstance(parts, Iterable) else list(parts)
    if names is None or not all(isinstance(name, str) for name in names):
        raise ValueError(f"parts = {parts!r:.200}, expected a list of names")
    return names


def _changed_parts(config: Config, chosen: Any, changes: Mapping[str, dict[str, Any]]) -> dict[str, Config]:
    """The parts chosen by name, or given whole, with their own settings changed."""
    chosen = chosen if isinstance(chosen, dict) else part_names(chosen)
    for name in (*chosen, *changes):
        if name not in config.parts and not isinstance(chosen, dict):
            known = ", ".join(config.parts) or "no part"
            raise ValueError(f"there are no settings for a part {name!r}; there are for {known}")
    parts = chosen if isinstance(chosen, dict) else {name: config.parts[name] for name in chosen}
    if missing := next((name for name in changes if name not in parts), None):
        raise ValueError(f"'parts.{missing}': no such part is fitted; there is {', '.join(parts) or 'none'}")
    return {name: changed(part, changes.get(name, {})) for name, part in parts.items()}


def _changed_stages(stages: Sequence[Stage], changes: Mapping[str, Any]) -> tuple[Stage, ...]:
    table = {f.name: [getattr(stage, f.name) for stage in stages] for f in COLUMNS.values()}
    n = np.size(changes["windows"]) if "windows" in changes else len(stages)
    for name, value in changes.items():
        head, _, number = name.partition(".")
        if not number:
            table[COLUMNS[head].name] = _spread(name, value, n, len(stages))
    for name, value in changes.items():
        head, _, number = name.partition(".")
        if number:
            if np.ndim(value):
                raise ValueError(f"{name!r} = {value!r:.200}, expected one value, for one stage")
            table[COLUMNS[head].name][_number(stages, name, number)] = value
    columns = {
        field.name: _continued(name, table[field.name], n, name in changes) for name, field in COLUMNS.items()
    }
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    kept = [row for row in rows if row["window"] != 0]
    if rows and not kept:
        raise ValueError("windows of 0 leave out every stage; expected one or more above 0")
    return tuple(Stage(**row) for row in kept)


def _spread(name: str, value: Any, n: int, n_before: int) -> list[Any]:
    """Values of all stages, from one for all, one for each, or the numbers of the stages where it is true."""
    if name == "between_views":
        numbers = list(np.atleast_1d(np.asarray(value, object)))
        if any(isinstance(number, bool | np.bool_) or number not in range(n) for number in numbers):
            raise ValueError(f"{name} = {value!r:.200}, expected numbers of the {n} stages, counted from 0")
        return [i in numbers for i in range(n)]
    if name in ("windows", "scales", "keep"):
        values = list(np.atleast_1d(np.asarray(value, object)))
        return list(range(n)) if name == "scales" and not values else values
    if not np.ndim(value):
        return [value] * n
    if len(value) not in (n, max(n, n_before)):
        raise ValueError(f"{name} = {value!r:.200}, expected one value, or {n}, for {n} stages")
    return [value[i] for i in range(len(value))]


def _continued(name: str, column: list[Any], n: int, given: bool) -> list[Any]:
    """Values for n stages; new stages get the value that all others share, or else the default."""
    missing = n - len(column)
    if missing > 0 and name in _USUAL:
        column = [*column, *[_USUAL[name]] * missing]
    elif missing > 0 and not given and all(value == column[0] for value in column):
        column = [*column, *column[:1] * missing]
    if len(column) < n:
        raise ValueError(f"expected {name} for every one of {n} stages; got {len(column)}")
    return column[:n]
